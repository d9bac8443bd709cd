"""The KL weight over a training: the vectors of Visionary-R1's specification, and a real training.

That a killed training goes on with the same weights is in `test_killed_training.py`.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.coordinates import Coordinates
from tasks.rewards.reward import Reward
from tasks.rewards.text import content_of
from tasks.training.kl_schedule import kl_weight
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import reinforced

VECTORS = Path(__file__).parents[1] / "rewards" / "vectors" / "visionary_kl_schedule.json"
ROWS = json.loads(VECTORS.read_text())["rows"]


def test_every_vector_is_there():
    assert len(ROWS) == 16


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["row"]))
def test_the_weight_is_that_of_the_specification(row):
    found = kl_weight(row["input"]["beta0"], row["input"]["epoch"], row["input"]["num_epochs"])
    assert found == pytest.approx(row["recommended"], abs=1e-9)


@given(st.floats(1e-9, 10), st.integers(1, 500), st.integers(0, 500), st.integers(0, 500))
def test_the_leash_only_gets_longer_and_is_gone_at_the_end(start, steps, first, second):
    early, late = sorted((first, second))
    assert start >= kl_weight(start, early, steps) >= kl_weight(start, late, steps) >= 0
    assert kl_weight(start, 0, steps) == pytest.approx(start)
    assert kl_weight(start, steps + late, steps) == pytest.approx(0, abs=1e-12)


@pytest.fixture
def common(model_folder, tmp_path) -> dict:
    return {
        "model": model_folder, "out": str(tmp_path / "out"), "run_id": "", "seed": 0,
        "scratch": str(tmp_path / "scratch"), "device": "cpu", "coordinates": Coordinates(100),
        "prompts": 2, "answers": 2, "learning_rate": 1e-2, "max_new_tokens": 4, "steps": 4,
        "accumulate": 2,
    }  # fmt: skip


def different_letters(completions: list, **_: object) -> list[float]:
    """Pay nearly every random answer another amount, so that the policy moves."""
    return [float(len(set(content_of(completion)))) for completion in completions]


def test_every_step_of_a_training_has_its_weight_and_pays_for_it(common):
    """The loss is advantages plus weighted divergence, and on-policy the advantages cancel."""
    samples = [make_sample(0, "train", "count", number) for number in range(8)]
    paid = [Reward(function=different_letters)]
    history = reinforced(samples, [], rewards=paid, beta=1.0, kl_schedule="cosine", **common)
    weights = [row["train/beta"] for row in history]
    assert weights == [kl_weight(1.0, step, 4) for step in range(4)]
    divergence = [row["train/kl"] for row in history]
    assert divergence[-1] > 1e-3  # the policy has moved
    for row, weight, apart in zip(history, weights, divergence, strict=True):
        # TRL averages divergence over tokens and the loss over answers, hence the slack
        assert row["train/loss"] == pytest.approx(weight * apart, rel=0.3, abs=1e-4)


def test_without_a_leash_there_is_none_to_let_go_of(common):
    samples = [make_sample(0, "train", "count", number) for number in range(8)]
    history = reinforced(samples, [], beta=0.0, kl_schedule="cosine", **common)
    assert [row["train/beta"] for row in history] == [0.0] * 4
    assert not any("train/kl" in row for row in history)
