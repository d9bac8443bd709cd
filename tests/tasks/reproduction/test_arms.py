"""Arms are trained once, the best on dev is asked, and what is finished is not done again."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.reproduction.arms import best_on_dev, learnt, run_trials

DEV = {"slow": 0.4, "fast": 0.7, "control": 0.1}


@dataclass(frozen=True)
class Trial:
    arm: str
    folder: str
    length: int = 1
    broken: bool = False


def train(trial: Trial) -> dict:
    with (Path(trial.folder) / "trained").open("a") as file:
        file.write("x")
    if trial.broken:
        raise RuntimeError("killed")
    return {"arm": trial.arm, "dev": {0: 0.0, 10: DEV[trial.arm]}}


def ask(trial: Trial) -> dict:
    return {"score": 1 + DEV[trial.arm]}


def trials(tmp_path: Path, **changes: dict) -> list[Trial]:
    return [
        Trial(arm, str(tmp_path / arm), **changes.get(arm, {})) for arm in DEV
    ]  # fmt: skip


def test_arms_are_trained_once_and_only_those_that_count_are_asked(tmp_path):
    made = trials(tmp_path)

    def counts(trial: Trial) -> bool:
        return trial.arm == "control" or trial is best_on_dev(made[:2])

    found = run_trials(made, train, ask, counts)
    assert [(one["arm"], one["score"]) for one in found] == [("fast", 1.7), ("control", 1.1)]
    assert learnt(made[0])["dev"] == {"0": 0.0, "10": 0.4}
    assert not (tmp_path / "slow" / "answers.json").exists()
    assert run_trials(made, train, ask, counts) == found
    assert (tmp_path / "fast" / "trained").read_text() == "x"


def test_an_experiment_goes_on_with_the_arm_that_it_was_in(tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        run_trials(trials(tmp_path, fast={"broken": True}), train, ask)
    assert not (tmp_path / "fast" / "training.json").exists()
    done = [arm for arm in DEV if (tmp_path / arm / "training.json").exists()]
    found = run_trials(trials(tmp_path), train, ask)
    assert [one["arm"] for one in found] == list(DEV)
    assert (tmp_path / "fast" / "trained").read_text() == "xx"
    assert all((tmp_path / arm / "trained").read_text() == "x" for arm in done)
    assert json.loads((tmp_path / "slow" / "answers.json").read_text()) == {"score": 1.4}
