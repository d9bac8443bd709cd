"""The whole chain on a few dozen pictures, through real Prefect, DVC and MLflow.

The tests share one copy of the tree and run in order: each starts from what the one before left, as
a user's day does. The model is the shipped one; everything else is small.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

import mlflow
from tests.flows.conftest import environment, outcomes, run, runs_of

STAGES = (
    "intake", "synthesis", "reward_model", "policy_sft", "preferences", "policy_dpo", "policy_grpo",
    "answers_base", "answers_policy_sft", "answers_policy_dpo", "answers_policy_grpo",
    "benchmarks", "report",
)  # fmt: skip
SMALL = {
    "synthesis": {"questions": 8, "attempts": 2, "captions": 6},
    "reward_model": {"steps": 3, "batch": 4, "judged": 8},
    "policy_sft": {"steps": 3, "batch": 4},
    "preferences": {"pictures": 12, "candidates": 8},
    "policy_dpo": {"steps": 3, "batch": 2},
    "policy_grpo": {"steps": 6, "prompts": 2, "answers": 4, "max_new_tokens": 32},
    "benchmarks": {"per_task": 1, "resamples": 100, "max_new_tokens": 48},
}

pytestmark = [pytest.mark.chain, pytest.mark.usefixtures("warm")]


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout(SMALL)


@pytest.fixture(scope="module")
def first(checkout) -> subprocess.CompletedProcess:
    result = run(checkout, "flows.align")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    return result


def test_the_chain_runs_every_stage_and_ends_with_scores_cost_and_where_to_look(checkout, first):
    assert outcomes(first.stdout, STAGES) == dict.fromkeys(STAGES, "ran")
    assert "Held-out scores" in first.stdout and "index.html" in first.stdout
    assert "models:/policy/1 " in first.stdout + first.stderr  # and whether it is the best now
    html = (checkout / "outputs" / "report" / "index.html").read_text()
    assert "policy_grpo" in html and "<svg" in html
    table = json.loads((checkout / "outputs" / "benchmarks" / "table.json").read_text())
    assert {"find", "tell", "other tasks"} <= {row["task"] for row in table}
    assert not list((checkout / ".runtime" / "scratch").iterdir())


def test_the_terminal_has_a_line_per_stage_and_what_concerns_the_user(checkout, first):
    lines = (first.stderr + first.stdout).splitlines()
    assert len(lines) <= 60
    for stage in STAGES:
        [line] = [line for line in lines if line.startswith(f"✓ {stage} ")]
        assert stage == "report" or len(line.split("  ")[-1]) > 5, line  # a figure in words
        said = (checkout / ".runtime" / "logs" / f"{stage}.log").read_text()
        assert f"python -m tasks.run {stage}" in said
    for noise in ("git add", "GPU available", "litlogger", "across ranks", "Setting accelerator"):
        assert noise not in "\n".join(lines) + said


def test_every_stage_has_an_mlflow_run_under_the_chains_run(checkout, first):
    runs = runs_of(checkout)
    (parent,) = [r for r in runs if "stage" not in r.data.tags]
    stages = {r.data.tags["stage"]: r for r in runs if "stage" in r.data.tags}
    assert set(stages) == set(STAGES)
    for stage, found in stages.items():
        assert found.data.tags["mlflow.parentRunId"] == parent.info.run_id, stage
        assert found.info.status == "FINISHED"
        assert found.data.metrics["cost/seconds"] > 0
    answers = stages["answers_policy_grpo"]
    hashed = {i.dataset.name: i.dataset.digest for i in answers.inputs.dataset_inputs}
    lock = yaml.safe_load((checkout / "dvc.lock").read_text())["stages"]
    out = lock["policy_grpo"]["outs"]
    folder = next(o for o in out if o["path"] == "outputs/policy_grpo")
    assert hashed["outputs/policy_grpo"] == folder["md5"][:36]
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{checkout / '.runtime' / 'mlflow.db'}")
    curve = client.get_metric_history(stages["policy_grpo"].info.run_id, "train/reward")
    assert len({point.step for point in curve}) == SMALL["policy_grpo"]["steps"]


def test_a_second_run_does_nothing_and_dvc_agrees(checkout, first):
    before = (checkout / "dvc.lock").read_text()
    with dead_writer(checkout / "outputs" / "intake"):
        again = run(checkout, "flows.align")
    assert again.returncode == 0, again.stdout[-3000:]
    assert "1 readers or writers that are gone; removed" in again.stdout + again.stderr
    assert outcomes(again.stdout, STAGES) == dict.fromkeys(STAGES, "skipped")
    assert "up to date" in run(checkout, "dvc", "status", "--with-deps", "report").stdout
    assert "up to date" in run(checkout, "dvc", "repro", "report").stdout
    assert (checkout / "dvc.lock").read_text() == before


@contextlib.contextmanager
def dead_writer(path: Path) -> Iterator[None]:
    """List a writer that was killed, and whose parent has not yet taken note of its end."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    held = {"write": {str(path): {"pid": process.pid, "cmd": "dvc repro -s intake"}}, "read": {}}
    (path.parents[1] / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(held))
    yield
    process.wait()


def test_a_check_forecasts_a_stage_and_touches_nothing(checkout, first):
    before = (checkout / "dvc.lock").read_text(), len(runs_of(checkout))
    checked = run(checkout, "tasks.run", "policy_grpo", "--check")
    assert checked.returncode == 0, checked.stdout[-3000:] + checked.stderr[-3000:]
    forecast = checked.stdout.splitlines()[-1].split()
    assert forecast[::2] == ["seconds_per_step", "seconds", "peak_memory_gb", "money"]
    assert float(forecast[3]) > float(forecast[1]) > 0
    assert ((checkout / "dvc.lock").read_text(), len(runs_of(checkout))) == before
    refused = run(checkout, "tasks.run", "benchmarks", "--check")
    assert refused.returncode == 1 and "it trains no model" in refused.stderr


def test_one_changed_setting_reruns_just_what_depends_on_it(checkout, first):
    changed = in_a_terminal(checkout, "-m", "flows.align", "--benchmarks.resamples", "101")
    expected = dict.fromkeys(STAGES[:11], "skipped") | dict.fromkeys(STAGES[11:], "ran")
    assert outcomes(changed, STAGES) == expected
    bars = [line for line in changed.splitlines() if line.startswith("benchmarks ━")]
    assert bars and "Traceback" not in changed


def in_a_terminal(checkout: Path, *command: str) -> str:
    """Run Python as somebody does who looks at a terminal; returns what was to be seen."""
    words = shlex.join([sys.executable, *command])
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", words, "/dev/null"],
        cwd=checkout, env=environment(checkout) | {"TERM": "xterm"}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).replace("\r", "\n")


def test_a_stage_killed_in_mid_training_resumes_to_the_same_result(checkout, first):
    trained = checkout / "outputs" / "policy_grpo"
    expected = json.loads((trained / "history.json").read_text())
    weights = (trained / "model.safetensors").read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-s", "-f", "policy_grpo"],
        cwd=checkout, env=environment(checkout), stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    checkpoint = wait_for(checkout / ".runtime" / "scratch", "policy_grpo-*/last.ckpt")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (trained / "history.json").exists()  # nothing half-written
    assert checkpoint.exists()
    resumed = run(checkout, "dvc", "repro", "-s", "-f", "policy_grpo")
    assert resumed.returncode == 0, resumed.stdout[-3000:] + resumed.stderr[-3000:]
    assert "continuing from the last checkpoint" in resumed.stdout
    assert json.loads((trained / "history.json").read_text()) == expected
    assert (trained / "model.safetensors").read_bytes() == weights
    states = [r.info.status for r in runs_of(checkout) if r.data.tags.get("stage") == "policy_grpo"]
    assert states == ["FINISHED"] * len(states)


def test_nothing_outlives_a_killed_flow(checkout, first):
    command = [sys.executable, "-m", "flows.align", "--policy_grpo.steps", "200"]
    flow = subprocess.Popen(
        command, cwd=checkout, env=environment(checkout), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(checkout / ".runtime" / "scratch", "policy_grpo-*/last.ckpt")
    assert_that_others_are_told_who_is_at_work(checkout, flow)
    flow.kill()
    flow.wait()
    deadline = time.monotonic() + 20
    while stages_alive(checkout) + servers_of(checkout) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert stages_alive(checkout) == [] == servers_of(checkout)
    while any(map(psutil.pid_exists, listed_by_dvc(checkout))) and time.monotonic() < deadline:
        time.sleep(0.2)  # init has to take note of the end of those that it adopted
    assert run(checkout, "dvc", "status").returncode == 0  # no lock is left behind


def servers_of(checkout: Path) -> list[int]:
    """Return the servers that run for this checkout: a flow's own ends with it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "flows.platform.servers" in process.cmdline() and Path(process.cwd()) == checkout:
                found.append(process.pid)
    return found


def listed_by_dvc(checkout: Path) -> set[int]:
    """Return the processes that DVC believes to be reading or writing."""
    held = json.loads((checkout / ".dvc" / "tmp" / "rwlock").read_text())
    writers, readers = held.get("write", {}).values(), held.get("read", {}).values()
    return {who["pid"] for who in (*writers, *sum(readers, []))}


def assert_that_others_are_told_who_is_at_work(checkout: Path, flow: subprocess.Popen) -> None:
    before = (checkout / "params.yaml").read_text()
    second = run(checkout, "flows.align", "--seed", "9")
    assert second.returncode == 1 and "Another chain is at work" in second.stderr
    assert f"(process {flow.pid}, since 20" in second.stderr
    assert (checkout / "params.yaml").read_text() == before
    same_stage = run(checkout, "dvc", "repro", "-s", "policy_grpo")
    assert same_stage.returncode != 0 and "is being blocked by" in same_stage.stderr
    assert "repro -s policy_grpo" in same_stage.stderr


def test_the_doctor_says_what_the_kill_left_and_repairs_it_once(checkout, first):
    (checkout / ".dvc" / "tmp" / "rwlock").write_text('{"read": {')
    said = run(checkout, "flows.platform.doctor").stdout
    assert "Flow run align" in said and "marked as crashed" in said
    # the stage was asked to end and has ended its own run; nobody could ask the flow
    assert "MLflow run align" in said and "ended as KILLED" in said
    assert "torn by a kill; removed" in said
    assert "RUNNING" not in {r.info.status for r in runs_of(checkout)}
    assert run(checkout, "flows.platform.doctor").stdout.strip() == "Nothing to repair."


def wait_for(folder: Path, pattern: str, seconds: float = 180) -> Path:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := list(folder.glob(pattern)):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{pattern} did not appear within {seconds} s")


def stages_alive(root: Path) -> list[int]:
    """Return the processes of stages that work in this checkout, with those that they started.

    Not the one that waits for the next stage, as long as the runner or the test that keeps it is
    there.
    """
    alive = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = {"tasks.run", "tasks.running.process", "tasks.running.warm"} & set(
                process.cmdline()
            )
            kept = (parent := process.parent()) and (
                parent.pid == os.getpid() or "flows.platform.serve" in parent.cmdline()
            )
            waits = kept and ours == {"tasks.running.warm"}
            at_work = not waits and (ours or "DVC_STAGE" in process.environ())
            if Path(process.cwd()) == root and at_work:
                alive.append(process.pid)
    return alive


def test_a_corrupted_folder_ends_in_a_report_and_not_in_a_trace(checkout, first):
    bad = checkout / "mine"
    (bad / "pictures").mkdir(parents=True)
    (bad / "pictures" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nnot a picture")
    rows = [
        {"image": "pictures/torn.png", "question": "What is it?", "answer": "x"},
        {"image": "pictures/missing.png", "question": "What is it?", "answer": "x"},
        {"image": "../data/part-00000.parquet", "question": "What is it?", "answer": "x"},
    ]
    (bad / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\nno json\n")
    kept = sorted(path.name for path in (checkout / "outputs" / "intake").iterdir())
    result = run(checkout, "flows.align", "--data", "mine", "--policy_grpo.steps", "6")
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "4 of 4 records" in said and "What to do" in said
    assert "unreadable picture" in said and "picture file is missing" in said
    assert list((checkout / ".runtime" / "set_aside" / "intake").glob("*.parquet"))
    assert "Traceback" not in result.stderr
    intake = checkout / "outputs" / "intake"
    assert not intake.exists() or sorted(path.name for path in intake.iterdir()) == kept


def test_wrong_settings_stop_before_anything_starts(checkout, first):
    result = run(checkout, "flows.align", "--polcy_grpo", "5", "--seed", "-1")
    assert result.returncode != 0
    assert "2 mistakes" in result.stderr and "did you mean 'policy_grpo'" in result.stderr
    assert "Traceback" not in result.stderr
