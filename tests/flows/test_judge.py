"""UnifiedReward's flow on a small world, with a kill in training: real Prefect, DVC, MLflow."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.judge import STAGES
from tasks.asking.memory import FILE
from tasks.records.judgements import TASKS
from tasks.records.rows import read_rows
from tasks.running.tracking import dvc_hashes
from tests.flows.conftest import ROOT, environment, outcomes, run, runs_of
from tests.flows.servers import wait_until
from tests.tasks.asking.serving import Server

# any judge passes these bars: four steps teach nothing
SMALL = {
    "judgements": {"data": "outputs/judging_world"},
    "judging_world": {"train_items": 3, "dev_items": 2, "test_items": 3},
    "judge": {
        "steps": 4, "batch": 2, "look_every": 2, "looked_at": 4,
        "bar_accuracy": 0.0, "bar_consistency": 0.0, "bar_unreadable": 1.0,
    },
    "scalar_judge": {"trained": True, "steps": 4, "batch": 2},
    "judge_sheet": {"asked_per_task": 3, "controls": 2},
    "preferred": {"groups": 4, "candidates_each": 4, "max_new_tokens": 24},
    "benchmarks": {"resamples": 100},
}  # fmt: skip

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("warm")]


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout(SMALL)


def test_a_killed_judge_goes_on_and_the_flow_ends_with_a_sheet_and_pairs(checkout):
    killed = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "judge"], cwd=checkout, env=environment(checkout),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    for line in killed.stdout:
        if line.startswith("step 2 of 4"):
            break
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    result = run(checkout, "flows.judge")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    done = outcomes(result.stdout, ("judging_world", *STAGES))  # the world is drawn where it lacks
    assert done["judge"] == "ran" and set(done) == {"judging_world", *STAGES}
    assert "up to date" in run(checkout, "dvc", "repro", "judge_sheet", "preferred").stdout


def test_the_sheet_has_both_judges_and_the_controls_and_the_page_shows_them(checkout):
    outputs = checkout / "outputs"
    sheet = json.loads((outputs / "judge_answers" / "sheet.json").read_text())
    for name in ("start", "judge", "scalar"):
        assert sheet[name]["tasks"].keys() == set(TASKS)
        for row in sheet[name]["tasks"].values():
            assert {"n", "swap_consistency", "unreadable", "repeated/tie", "cycles"} <= row.keys()
            assert {"without_pictures/unchanged", "other_pictures/unchanged"} <= row.keys()
    assert sheet["comparisons"].keys() == set(TASKS) == sheet["forms"].keys()
    assert {row["swap_consistency"] for row in sheet["scalar"]["tasks"].values()} == {1.0}
    known = json.loads((outputs / "judge" / "calibration.json").read_text())
    assert known["temperature"] > 0 and known["tie_band"] >= 0
    page = (outputs / "judge_sheet" / "index.html").read_text()
    assert "How far to trust it" in page and page.count('<article class="card item"') == 12
    assert page.count("<td><b>scalar</b></td>") >= len(TASKS)
    assert "<script src" not in page and "http://" not in page.replace("http://127.0.0.1", "")


def test_every_prompt_is_a_pair_or_set_aside_with_its_reason(checkout):
    outputs = checkout / "outputs"
    kept = list(read_rows(outputs / "preferred"))
    aside = pq.read_table(outputs / "preferred" / "rejected.parquet").to_pylist()
    version = f"outputs/judge {dvc_hashes(checkout)['outputs/judge']}"
    assert len(kept) + len(aside) == 4 and all(row["reason"] for row in aside)
    for row in kept:
        assert row["chosen"] != row["rejected"] and row["chosen_score"] > row["rejected_score"]
        assert row["n_candidates"] == 4 and row["images"] and row["judge"] == version


def test_the_record_has_the_judge_its_looks_and_its_data(checkout):
    [logged] = [r for r in runs_of(checkout) if r.data.tags.get("stage") == "judge"
                and r.info.status == "FINISHED"]  # fmt: skip
    assert "dev/score" in logged.data.metrics
    lock = (checkout / "dvc.lock").read_text()
    assert "outputs/judgements" in lock and "tasks/prompts/judge/video_generation_pair.txt" in lock


def answers_kept(checkout: Path) -> int:
    with contextlib.suppress(sqlite3.Error):
        database = sqlite3.connect(f"file:{checkout}/.runtime/{FILE}?mode=ro", uri=True)
        with contextlib.closing(database):
            return database.execute("SELECT count(*) FROM answers").fetchone()[0]
    return 0


@pytest.mark.parametrize("served", [False, True])
def test_a_stage_killed_while_it_asks_ends_as_if_it_never_was(checkout, served):
    server = Server(str(ROOT / "outputs" / "base"))
    try:
        if served:
            done = run(checkout, "flows.judge", "--preferred.policy", server.address)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        expected = list(read_rows(checkout / "outputs" / "preferred"))
        for file in (checkout / ".runtime").glob(f"{FILE}*"):
            file.unlink()
        again = [sys.executable, "-m", "dvc", "repro", "-s", "-f", "preferred"]
        killed = subprocess.Popen(
            again, cwd=checkout, env=environment(checkout), stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        wait_until(lambda: answers_kept(checkout) >= 4, 120)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        left = answers_kept(checkout)
        resumed = run(checkout, *again[2:])
        assert resumed.returncode == 0, resumed.stdout[-3000:] + resumed.stderr[-3000:]
        assert list(read_rows(checkout / "outputs" / "preferred")) == expected
        # once in the flow, once before the kill, and again only what was not kept then
        asked = [n for text, n in server.texts().items() if "Hello" not in text]
        assert len(asked) == 16 * served and sum(n > 2 for n in asked) <= max(0, 16 - left)
    finally:
        server.stop()
