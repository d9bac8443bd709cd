"""Two stages, killed in every phase of their work, end with the bytes of stages that never were."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tasks.training.killed_phases import PHASES, STEPS

ROOT = Path(__file__).resolve().parents[3]
FILES = ("model.safetensors", "history.json", "rollouts.parquet", "tokenizer.json")

pytestmark = [pytest.mark.chain, pytest.mark.timeout(1200)]


def lives(folder: Path, stage: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.training.killed_phases", str(folder), stage],
        cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    log = folder / "checkout" / "log"
    assert done.returncode == 0, done.stderr[-2000:] + (log.read_text() if log.exists() else "")
    return [json.loads(line) for line in (folder / "lives.jsonl").read_text().splitlines()]


# one of the two for every change: they share the engine
STAGES = ["reinforced", pytest.param("policy_grpo", marks=pytest.mark.night)]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_in_every_phase_ends_as_if_it_never_was(stage, tmp_path):
    first, *killed, last = lives(tmp_path, stage)
    assert [life["phase"] for life in killed] == list(PHASES[stage]) and len(killed) >= 12
    # each died where it was to die, and left no result
    died = {life["phase"]: (life["status"], life["published"]) for life in killed}
    assert set(died.values()) == {(-signal.SIGKILL, False)}, died
    assert first["status"] == last["status"] == 0
    expected = {f"metrics/{stage}.json", *(f"{stage}/{name}" for name in FILES)}
    assert first["files"].keys() >= expected
    assert first["steps"] == STEPS and first["moved"] > STEPS / 2  # there was something to lose
    assert last["files"] == first["files"]
