"""ScaleCap's flow on a data set with questions and on bare pictures, with a kill while it asks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset

from flows.caption import STAGES
from tasks.records.rows import read_rows
from tasks.world.shards import make_sample
from tests.flows.conftest import environment, outcomes, run
from tests.flows.test_chain import wait_for

SMALL = {
    "drafts": {"data": "mine", "captioned": 4, "max_new_tokens": 48},
    "objects": {"max_new_tokens": 24},
    "captions": {"budgets": [-1, 0], "max_new_tokens": 32},
    "caption_answers": {"asked_in_all": 8, "max_new_tokens": 8},
    "benchmarks": {"resamples": 100},
}

NAMES = "disc, circle\nsquare\ntriangle\nstar\ncross\ndiamond\nring\nheart"

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("warm")]


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    root = make_checkout(SMALL)
    folder = root / "mine"
    folder.mkdir()
    rows = []
    for i in range(6):
        sample = make_sample(1, "test", ("count", "attribute")[i % 2], i // 2)
        picture = make_sample(1, "test", "count", i // 2).images[0]
        (folder / f"{i // 2}.png").write_bytes(picture)
        rows.append(
            {"image": f"{i // 2}.png", "question": sample.prompt, "answer": sample.answer,
             "split": "test", "details": {"objects": ["disc"], "names": NAMES}}
        )  # fmt: skip
    rows.append({"image": "lost.png", "question": "How many?", "answer": "5", "split": "test"})
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_pictures(root / "bare")
    return root


def write_pictures(folder: Path) -> None:
    """A stranger's pictures: one below another folder, one twice, one broken."""
    (folder / "below").mkdir(parents=True)
    for i in range(2):
        picture = make_sample(2, "test", "caption", i).images[0]
        (folder / ("below" if i else ".") / f"{i}.png").write_bytes(picture)
    (folder / "again.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"no picture")


@pytest.fixture(scope="module")
def first(checkout) -> subprocess.CompletedProcess:
    result = run(checkout, "flows.caption")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    return result


def rows_of(checkout: Path, stage: str) -> list[dict]:
    return list(read_rows(checkout / "outputs" / stage))


def test_pictures_end_with_captions_of_every_budget_and_a_page(checkout, first):
    assert outcomes(first.stdout, STAGES) == dict.fromkeys(STAGES, "ran")
    drafts, captions = rows_of(checkout, "drafts"), rows_of(checkout, "captions")
    assert len(drafts) == 3 and len({row["id"] for row in drafts}) == 3  # each picture once
    for row in drafts:
        kept = [s["text"] for s in row["sentences"] if s["kept"]]
        assert row["trusted"] == kept or row["whole"]
        assert all(s["score"] is not None for s in row["sentences"]) and row["draft"]
        assert all(row["draft"][s["start"] :].startswith(s["text"]) for s in row["sentences"])
    assert sorted((row["id"], row["budget"]) for row in captions) == sorted(
        (row["id"], budget) for row in drafts for budget in (-1, 0)
    )
    assert all(row["caption"].strip() for row in captions)
    table = json.loads((checkout / "outputs" / "caption_answers" / "table.json").read_text())
    assert list(table) == ["no caption", "draft", "budget-0", "budget-all"]
    assert all(row["n"] == 6 for row in table.values())
    objects = json.loads((checkout / "outputs" / "caption_answers" / "objects.json").read_text())
    assert list(objects) == ["draft", "budget-0", "budget-all"]
    for row in objects.values():  # drafts of scenes name something, and not discs alone
        assert 0 < row["chair_i"] <= 1 and 0 <= row["recall"] <= 1 and row["named_words"] > 0
    page = (checkout / "outputs" / "caption_page" / "index.html").read_text()
    assert page.count('<article class="card item"') == 3
    assert "<script src" not in page and "http://" not in page.replace("http://127.0.0.1", "")
    loaded = load_dataset("parquet", data_files=str(checkout / "outputs/captions/part-*.parquet"),
                          cache_dir=str(checkout / ".runtime" / "cache"))["train"]  # fmt: skip
    assert set(loaded.column_names) >= {"id", "budget", "caption", "added"}


def test_what_is_asked_is_of_trusted_sentences_and_in_reading_order(checkout, first):
    assert all(row["requests"] for row in rows_of(checkout, "objects"))
    for row in rows_of(checkout, "objects"):
        for one in row["requests"]:
            assert 0 <= one["sentence"] < len(row["trusted"]) and one["object"] in one["text"]
        places = [one["sentence"] for one in row["requests"]]
        assert places == sorted(places)


def test_a_kill_while_it_asks_back_changes_no_byte_of_the_captions(checkout, first):
    before = [(row["id"], row["requests"]) for row in rows_of(checkout, "objects")]
    file = next((checkout / "outputs" / "objects").glob("part-*.parquet"))
    kept = file.read_bytes()
    again = [sys.executable, "-m", "dvc", "repro", "-s", "-f", "objects"]
    killed = subprocess.Popen(
        again, cwd=checkout, env=environment(checkout), stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    wait_for(checkout / ".runtime" / "scratch", "objects-*/attempts.json")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    subprocess.run(again, cwd=checkout, env=environment(checkout), check=True)
    assert [(row["id"], row["requests"]) for row in rows_of(checkout, "objects")] == before
    assert file.read_bytes() == kept


def test_a_folder_of_pictures_alone_is_captioned_each_once(checkout, first):
    result = run(checkout, "flows.caption", "--drafts.data", "bare", "--captions.budgets", "[0]")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    assert {row["id"] for row in rows_of(checkout, "drafts")} == {"0.png", "below/1.png"} or {
        row["id"] for row in rows_of(checkout, "drafts")
    } == {"again.png", "below/1.png"}
    summary = json.loads((checkout / "outputs" / "drafts" / "summary.json").read_text())
    assert summary["read"] == 4 and summary["kept"] == 2 and summary["questions"] == 0
    assert summary["set_aside"].keys() >= {"picture that is there already"}
    assert sum(summary["set_aside"].values()) == 2
    assert json.loads((checkout / "outputs/caption_answers/table.json").read_text()) == {}
