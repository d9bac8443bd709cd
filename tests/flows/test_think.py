"""UnifiedReward-Think's flow on a small world, killed while it samples and while it reinforces."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.think import STAGES
from tasks.records.rows import read_rows
from tests.flows.conftest import environment, outcomes, run, runs_of
from tests.flows.servers import wait_until
from tests.flows.test_judge import answers_kept

SMALL = {
    "thinking_world": {"train_pairs": 100, "dev_pairs": 2, "test_pairs": 3},
    "traces": {"most_traces": 80},
    # as much as it takes until most traces keep their layout
    "cold_start": {"steps": 40, "batch": 16, "learning_rate": 1e-3, "look_every": 40,
                   "looked_at": 2, "max_new_tokens": 140},
    "sampled": {"most_pairs": 16, "temperature": 0.5},
    "think_sft": {"steps": 2, "batch": 4, "look_every": 2},
    "thinker": {"steps": 4, "prompts": 2, "answers": 2, "look_every": 4},
    "think_sheet": {"asked_per_task": 2, "votes": 3, "voted": 1},
    "benchmarks": {"resamples": 100},
}  # fmt: skip

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("warm")]


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout(SMALL)


def started(checkout: Path, stage: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", stage], cwd=checkout, env=environment(checkout),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_flow_killed_twice_ends_with_a_sheet(checkout):
    assert run(checkout, "dvc", "repro", "cold_start").returncode == 0
    before = answers_kept(checkout)
    sampling = started(checkout, "sampled")
    wait_until(lambda: answers_kept(checkout) >= before + 4, 120)
    kill(sampling)
    reinforcing = started(checkout, "thinker")
    for line in reinforcing.stdout:
        if line.startswith("step 2 of 4") or "step 4 of 4" in line:
            break
    kill(reinforcing)
    result = run(checkout, "flows.think")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    done = outcomes(result.stdout, ("thinking_world", *STAGES))
    assert set(done) >= set(STAGES) and done["thinker"] == "ran"
    assert "up to date" in run(checkout, "dvc", "repro", "think_sheet").stdout


def test_what_was_kept_is_right_and_what_is_left_is_not_lost(checkout):
    outputs = checkout / "outputs"
    kept = pq.read_table(outputs / "sampled" / "traces.parquet").to_pylist()
    left = json.loads((outputs / "sampled" / "left.json").read_text())
    summary = json.loads((outputs / "sampled" / "summary.json").read_text())
    assert kept and left and set(summary["by"]) == {"source", "task", "order", "margin"}
    written = sum(n for n, *_ in summary["by"]["task"].values())
    assert written == 4 * 16  # of every pair, half in each order
    assert sum(n for *_, n in summary["by"]["order"].values()) == len(kept)
    by_id = {row["id"]: row for row in read_rows(outputs / "traces")}
    for trace in kept:
        assert trace["text"].endswith("is better</answer>") and trace["id"] in by_id


def test_the_sheet_has_every_way_of_judging_and_the_page_draws_traces(checkout):
    sheet = json.loads((checkout / "outputs" / "think_answers" / "sheet.json").read_text())
    assert list(sheet["measures"]) == [
        "start, bare", "cold start", "fine-tuned", "thinker", "thinker, bare",
    ]  # fmt: skip
    for way, rows in sheet["measures"].items():
        for row in rows.values():
            assert {"diff", "swap", "gold_first", "tokens"} <= row.keys()
            assert ("layout" in row) == ("bare" not in way)
    assert {"voted", "follows"} <= set().union(*sheet["measures"]["thinker"].values())
    page = (checkout / "outputs" / "think_sheet" / "index.html").read_text()
    assert "Ways of judging" in page and page.count('<article class="card pair"') == 4
    assert "<script src" not in page


def test_the_record_has_signs_of_traces_and_the_judge_is_registered(checkout):
    [logged] = [r for r in runs_of(checkout) if r.data.tags.get("stage") == "thinker"
                and r.info.status == "FINISHED"]  # fmt: skip
    assert {"dev/score", "train/signs/wrong_sum", "train/kl"} <= logged.data.metrics.keys()
    assert "outputs/thinking_world" in (checkout / "dvc.lock").read_text()


def test_a_teacher_who_writes_no_trace_stops_the_flow_before_it_trains(checkout):
    asked = {"who": "teacher", "teacher": "outputs/base", "most_traces": "2", "max_new_tokens": "8"}
    words = [word for name, value in asked.items() for word in (f"--traces.{name}", value)]
    refused = run(checkout, "flows.think", *words)
    assert refused.returncode != 0
    assert "No trace names the true winner" in refused.stdout + refused.stderr
