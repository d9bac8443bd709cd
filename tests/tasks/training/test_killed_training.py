"""A training that is killed at any moment and started again ends as one that never was."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tasks.asking.coordinates import Coordinates
from tasks.questions import KINDS
from tasks.training.grpo import grpo_dataset
from tasks.training.kl_schedule import kl_weight
from tasks.training.objective import save_order
from tasks.training.plan import Plan
from tasks.world.few_shot import NOVEL, point_sample
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import grpo

ROOT = Path(__file__).resolve().parents[3]
STEPS = 12


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.training.work", str(folder)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def prepare(folder: Path, model: str) -> Path:
    folder.mkdir()
    tasks = ("find", "count", "ground", "table_reasoned")
    samples = [make_sample(0, "train", task, n) for n in range(4) for task in tasks]
    samples.append(point_sample(random.Random(0), "train", NOVEL[0]))
    counted = make_sample(0, "train", "count", len(samples))
    others = ("number", "relaxed", "anls", "vqa")
    samples.append(counted.model_copy(update={"metric": "typed", "final": counted.answer}))
    samples += [counted.model_copy(update={"metric": metric}) for metric in others]
    samples.append(counted.model_copy(update={"metric": "verdict", "answer": "A"}))
    assert {sample.metric for sample in samples} == {
        name for name, kind in KINDS.items() if kind.rewards
    }
    grpo_dataset(samples, Coordinates(100)).save_to_disk(folder / "data")
    plan = Plan(
        model=model, steps=STEPS, batch=8, out=str(folder / "out"),
        scratch=str(folder / "scratch"), run_id="", seed=0, device="cpu", accumulate=2,
    )  # fmt: skip
    objective = grpo(samples, max_new_tokens=12, beta=0.04, kl_schedule="cosine")
    save_order(folder / "order.json", objective, plan)
    return folder


def report(folder: Path) -> dict:
    process = start(folder)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-3000:]
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, model_folder):
    folder = prepare(tmp_path_factory.mktemp("training") / "undisturbed", model_folder)
    return report(folder), folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def step_of(checkpoint: Path) -> int:
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"]
    except (OSError, RuntimeError, EOFError):
        return 0  # not there yet, or being replaced


@pytest.mark.parametrize("after", [1, 9])  # an epoch has eight steps
def test_a_killed_grpo_training_ends_as_if_it_never_was(after, undisturbed, model_folder, tmp_path):
    expected, whole = undisturbed
    folder = prepare(tmp_path / "killed", model_folder)
    process = start(folder)
    checkpoint = folder / "scratch" / "last.ckpt"
    while step_of(checkpoint) < after:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    time.sleep(0.1)  # in the middle of a later step
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "report.json").exists()
    resumed = report(folder)
    assert [row["step"] for row in resumed["history"]] == list(range(1, STEPS + 1))
    assert resumed["history"] == expected["history"]
    weights = [row["train/beta"] for row in resumed["history"]]
    assert weights == [kl_weight(0.04, step, STEPS) for step in range(STEPS)]
    assert files_of(folder / "out") == files_of(whole / "out")
    assert resumed["used"]["steps"] < STEPS


def test_a_training_says_what_it_used_and_how_good_its_forecast_was(undisturbed):
    used, forecast = undisturbed[0]["used"], undisturbed[0]["forecast"]
    parts = [used[f"seconds/{part}"] for part in ("generate", "reward", "score", "train", "save")]
    assert min(parts) > 0
    assert used["samples"] == STEPS * 8 and used["steps"] == STEPS
    assert used["tokens_per_second"] > 0 and 0.1 < used["peak_memory_gb"] < 8
    assert forecast["seconds"] == pytest.approx(forecast["seconds_per_step"] * STEPS, rel=0.9)
    assert -1 < used["forecast_error"] < 5
    assert 0 < used["prefix_tokens_saved"] < 1
    assert undisturbed[0]["shared_prefix"] == "on"
