"""Light-ColPali's flow on a stranger's PDFs and pictures, killed in its index."""

import io
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from PIL import Image

from flows.retrieve import STAGES
from tasks.retrieval.index import PageIndex
from tasks.world.documents import draw_receipt
from tests.flows.conftest import environment, outcomes, run, runs_of
from tests.flows.servers import wait_until

# pages as small as the pictures that the base knows: a stage takes seconds
SMALL = {
    "pages": {"data": "mine", "pixels": 96 * 96},
    "retriever": {
        "model": "outputs/base", "steps": 4, "batch": 2, "look_every": 2, "dev": 4, "factor": 4.0,
        "width": 32,
    },  # fmt: skip
    "page_index": {"at_once": 2},
    "benchmarks": {"resamples": 100},
}  # fmt: skip

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("warm")]


def pdf_of(pictures: list[Image.Image]) -> bytes:
    document = pdfium.PdfDocument.new()
    for picture in pictures:
        page = document.new_page(*picture.size)
        image = pdfium.PdfImage.new(document)
        image.set_bitmap(pdfium.PdfBitmap.from_pil(picture))
        image.set_matrix(pdfium.PdfMatrix().scale(*picture.size))
        page.insert_obj(image)
        page.gen_content()
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    root = make_checkout(SMALL)
    folder = root / "mine"
    (folder / "scans").mkdir(parents=True)
    drawn = [draw_receipt(random.Random(n)) for n in range(90)]
    (folder / "a.pdf").write_bytes(pdf_of([one.frames[0] for one in drawn[:80]]))
    for n in range(80, 90):
        drawn[n].frames[0].save(folder / "scans" / f"{n}.png")
    (folder / "locked.pdf").write_bytes(b"%PDF-1.7 no more")
    lines = []
    for n, one in enumerate(drawn):
        name = f"a.pdf#{n + 1}" if n < 80 else f"scans/{n}.png"
        words = ", ".join(" ".join((*fact.keys, fact.text)) for fact in one.facts[:2])
        split = "train" if n < 40 else "dev" if n < 48 else "test"
        lines.append({"text": words, "relevant": [name], "split": split, "set": name[:5]})
    lines.append({"text": "lost", "relevant": ["b.pdf#1"]})
    (folder / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def indexed(checkout: Path) -> int:
    found = list((checkout / ".runtime" / "scratch").glob("page_index-*/index/index.json"))
    return json.loads(found[0].read_text())["pages"] if found else 0


def test_a_killed_index_goes_on_and_the_flow_ends_with_scores_and_a_page(checkout):
    assert run(checkout, "dvc", "repro", "retriever").returncode == 0
    killed = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-s", "page_index"], cwd=checkout,
        env=environment(checkout), stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: indexed(checkout) > 0, 120)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    left = indexed(checkout)
    assert 0 < left < 90
    result = run(checkout, "flows.retrieve")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    done = outcomes(result.stdout, STAGES)
    assert done["page_index"] == "ran" and set(done) == set(STAGES)
    read = json.loads((checkout / "outputs" / "pages" / "summary.json").read_text())
    assert read["pages"] == 90 and read["questions"] == {"train": 40, "dev": 8, "test": 42}
    assert read["set_aside"] == {
        "PDF that cannot be read": 1, "a page that is not there answers it": 1,
        "question that no page answers": 1,
    }  # fmt: skip
    table = json.loads((checkout / "outputs" / "retrieval" / "table.json").read_text())
    merged, whole = table["merged"], table["unmerged"]
    assert merged["pages"] == whole["pages"] == 90 and merged["sets"][""]["n"] == 42
    assert merged["vectors_per_page"] == whole["vectors_per_page"] - 27  # 36 patches become 9
    assert set(merged["sets"]) == {"a.pdf", "scans", ""}
    page = (checkout / "outputs" / "retrieval_page" / "index.html").read_text()
    assert page.count('<article class="card item"') == 40 and "its clusters" in page
    assert "<script src" not in page and "http://" not in page.replace("http://127.0.0.1", "")


def test_the_index_is_searched_from_a_shell_with_the_model_that_made_it(checkout):
    found = run(
        checkout, "tasks.retrieval.search", "outputs/page_index", "Total <b>41", "--number", "3",
        "--no-open",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.strip().splitlines()) == 4 and "warmest: row" in found.stdout
    page = (checkout / ".runtime" / "found.html").read_text()
    assert page.count("<figure>") == 3 and page.count("<img") == 6 and "Total &lt;b&gt;41" in page
    other = run(checkout, "tasks.retrieval.search", "outputs/page_index", "?", "--retriever",
                "outputs/base")  # fmt: skip
    assert other.returncode and "did not make the index" in other.stderr
    with PageIndex.open(checkout / "outputs" / "page_index") as index:
        assert index.delete("scans/80.png") == 1 and len(index) == 89


def test_the_record_has_the_retriever_its_looks_and_a_version(checkout):
    [logged] = [r for r in runs_of(checkout) if r.data.tags.get("stage") == "retriever"
                and r.info.status == "FINISHED"]  # fmt: skip
    assert "dev/score" in logged.data.metrics
    lock = (checkout / "dvc.lock").read_text()
    assert "models/retrieval" in lock and "outputs/page_index" in lock


def test_without_questions_and_with_a_trained_retriever_an_index_is_made_all_the_same(checkout):
    (checkout / "bare").mkdir()
    for n in range(3):
        draw_receipt(random.Random(n)).frames[0].save(checkout / "bare" / f"{n}.png")
    (checkout / "outputs" / "retriever").rename(checkout / "taught")
    result = run(checkout, "flows.retrieve", "--pages.data", "bare", "--retriever.model", "taught",
                 "--retriever.factor", "9")  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    made = json.loads((checkout / "outputs" / "page_index" / "index.json").read_text())
    assert made["pages"] == 3 and made["made"]["factor"] == 9.0
    page = (checkout / "outputs" / "retrieval_page" / "index.html").read_text()
    assert "There are no held-out questions" in page
    plain = run(checkout, "flows.retrieve", "--retriever.model", "outputs/base")
    assert plain.returncode and "has not learnt to retrieve" in plain.stdout + plain.stderr
