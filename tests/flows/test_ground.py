"""GCoT's flow on a stranger's receipts and charts, with a kill in a round: real Prefect and DVC."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.ground import STAGES
from tasks.world.documents import draw_receipt
from tasks.world.shards import make_sample
from tests.flows.conftest import environment, outcomes, run, runs_of
from tests.flows.test_chain import wait_for

SMALL = {
    "lessons": {
        "data": "mine", "kinds": [], "examples": 6, "dev": 3, "test": 6, "chains_each": 2,
    },
    "boxes": {"rounds": 2, "steps": 3, "batch": 4},
    "reasoner": {"steps": 3, "batch": 2, "look_every": 2, "expansion": 1},
    "benchmarks": {"resamples": 100},
}  # fmt: skip

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("warm")]


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    root = make_checkout(SMALL)
    write_documents(root / "mine")
    return root


def write_documents(folder: Path) -> None:
    """A stranger's charts and receipts in JSONL, one of them lost."""
    folder.mkdir()
    for split, number in (("train", 6), ("dev", 3), ("test", 6)):
        rows = []
        for i in range(number):
            sample = make_sample(1, split, ("receipt_value", "chart_value")[i % 2], i)
            (folder / f"{split}-{i}.png").write_bytes(sample.images[0])
            rows.append({"image": f"{split}-{i}.png", "question": sample.prompt,
                         "answer": sample.answer})  # fmt: skip
        if split == "train":
            rows.append({"image": "lost.png", "question": "How much?", "answer": "5"})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines)


def write_receipts(folder: Path) -> None:
    """A stranger's receipts as SROIE has them, one of them without its fields."""
    for split, number in (("train", 9), ("test", 6)):
        for part in ("img", "box", "key"):
            (folder / split / part).mkdir(parents=True)
        for i in range(number):
            drawn = draw_receipt(random.Random(f"{split}/{i}"))
            named = {part: folder / split / part / f"X{i}" for part in ("img", "box", "key")}
            drawn.frames[0].save(named["img"].with_suffix(".png"))
            *_, total = drawn.facts
            fields = {"company": "", "date": "", "address": "", "total": total.text}
            named["key"].with_suffix(".json").write_text(json.dumps(fields))
            lines = []
            for fact in drawn.facts:
                x0, y0, x1, y1 = fact.box.corners()
                lines.append(f"{x0},{y0},{x1},{y0},{x1},{y1},{x0},{y1},{fact.text}\n")
            named["box"].with_suffix(".csv").write_text("".join(lines))
    (folder / "train" / "key" / "X0.json").unlink()


@pytest.fixture(scope="module")
def first(checkout) -> subprocess.CompletedProcess:
    result = run(checkout, "flows.ground")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    return result


def proposals(checkout: Path) -> list[dict]:
    return pq.read_table(checkout / "outputs" / "boxes" / "proposals.parquet").to_pylist()


def test_a_strangers_documents_end_with_scores_before_and_after_and_a_page(checkout, first):
    assert outcomes(first.stdout, STAGES) == dict.fromkeys(STAGES, "ran")
    assert "Boxes read back by round" in first.stdout
    read = json.loads((checkout / "outputs" / "lessons" / "summary.json").read_text())
    assert read["examples"] == 6 and read["set_aside"] == {"picture file is missing": 1}
    table = json.loads((checkout / "outputs" / "reasoning" / "table.json").read_text())
    assert list(table) == ["start, asked plainly", "start, asked to reason", "after"]
    assert all(row["measures"]["n"] == 6 for row in table.values())
    assert table["after"]["measures"].keys() >= {"exact", "relaxed", "anls", "facts"}
    page = (checkout / "outputs" / "reasoning_page" / "index.html").read_text()
    assert page.count('<article class="card lesson"') == 6
    assert page.count('<article class="card item"') == 6 and "(last pass)" in page
    assert "<script src" not in page and "http://" not in page.replace("http://127.0.0.1", "")


def test_every_round_has_its_counts_its_boxes_and_its_step_in_mlflow(checkout, first):
    rounds = json.loads((checkout / "outputs" / "boxes" / "rounds.json").read_text())
    rows = proposals(checkout)
    assert len(rounds) == 3
    for number, counts in enumerate(rounds):
        mine = [r for r in rows if r["round"] == number and r["split"] == "train"]
        assert counts["proposed"] == len(mine) > 0
        assert counts["verified"] == sum(not r["failed"] for r in mine)
        assert "held_out_proposed" in counts and "precision_proposed" not in counts
    bank = pq.read_table(checkout / "outputs" / "boxes" / "bank.parquet").to_pylist()
    verified = {(r["sample_id"], r["target"]) for r in rows
                if r["split"] == "train" and not r["failed"]}  # fmt: skip
    assert {(r["sample_id"], r["target"]) for r in bank} == verified
    [logged] = [r for r in runs_of(checkout) if r.data.tags.get("stage") == "boxes"]
    assert logged.data.metrics["rounds/bank"] == len(bank)
    assert (checkout / "outputs" / "boxes" / "model" / "model.safetensors").exists()


def test_what_is_learnt_are_chains_with_verified_boxes_or_the_plain_answer(checkout, first):
    learnt = pq.read_table(checkout / "outputs" / "reasoner" / "learnt.parquet").to_pylist()
    summary = json.loads((checkout / "outputs" / "reasoner" / "summary.json").read_text())
    own = summary.get("own_chains", 0)
    assert len(learnt) == summary["chains"] + summary.get("plain", 0) + own
    bank = pq.read_table(checkout / "outputs" / "boxes" / "bank.parquet").to_pylist()
    texts = {row["id"]: row["text"] for row in reversed(learnt)}
    written = [
        all(str(round(x)) in texts[row["sample_id"]] for x in row["box"]) for row in bank
        if row["target"] in texts[row["sample_id"]]
    ]  # fmt: skip
    assert written and sum(written) >= len(written) - 1


def test_a_kill_in_a_round_changes_no_byte_of_the_result(checkout, first):
    found = checkout / "outputs" / "boxes"
    kept = ("bank.parquet", "rounds.json", "proposals.parquet", "model/model.safetensors")
    before = {name: (found / name).read_bytes() for name in kept}
    again = [sys.executable, "-m", "dvc", "repro", "-s", "-f", "boxes"]
    killed = subprocess.Popen(
        again, cwd=checkout, env=environment(checkout), stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    wait_for(checkout / ".runtime" / "scratch", "boxes-*/round-0.json")
    wait_for(checkout / ".runtime" / "scratch", "boxes-*/round-1")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (found / "bank.parquet").exists()
    resumed = run(checkout, *again[2:])
    assert resumed.returncode == 0, resumed.stdout[-3000:] + resumed.stderr[-3000:]
    assert {name: (found / name).read_bytes() for name in kept} == before
    assert "up to date" in run(checkout, "dvc", "repro", "reasoning_page").stdout
