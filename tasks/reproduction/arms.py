"""Trains and asks the arms of an experiment: each with each seed has a folder of its own.

An arm is trained, and what was learnt on dev says which arms count; only those are asked test
questions, once. Both results are files in the arm's folder: a killed experiment goes on with the
arm that it was in.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

from models.engine.whole import write_whole
from tasks.running.progress import track

Result = dict[str, Any]
BASE = "base"  # the arm that learns nothing
LEARNT, ANSWERED = "training", "answers"


class Trial(Protocol):
    """One arm of one question with one seed, in plain values: it travels to another process."""

    @property
    def folder(self) -> str:
        """Where its results and its models are."""

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""


T = TypeVar("T", bound=Trial)


def run_trials(
    trials: Sequence[T],
    train: Callable[[T], Result],
    ask: Callable[[T], Result],
    counts: Callable[[T], bool] = lambda trial: True,
) -> list[Result]:
    """Train what has not been trained, then ask the trials that count; return what those found.

    Each is trained and asked in one thread of its own, as many at once as there are cores: its
    result does not depend on how many.

    Args:
        train: Returns what was learnt, and on dev; a function of a module, as processes need it.
        ask: Returns what the test questions say.
        counts: Tells from what all have learnt whether a trial's test answers are wanted.
    """
    _each(train, trials, LEARNT)
    counting = [trial for trial in trials if counts(trial)]
    _each(ask, counting, ANSWERED)
    return [learnt(trial) | _read(trial, ANSWERED) for trial in counting]


def prepare(trials: Sequence[T], work: Callable[[T], Result], part: str) -> None:
    """Do what arms have in common, before them: each piece once, as many at once as cores.

    Args:
        work: A function of a module; what it returns is kept in the trial's folder.
        part: What it is called there.
    """
    _each(work, trials, part)


def done(trial: Trial, part: str) -> Result:
    """Return what such work returned."""
    return _read(trial, part)


def learnt(trial: Trial) -> Result:
    """Return what `train` returned for a trial."""
    return _read(trial, LEARNT)


def best_on_dev(trials: Iterable[T]) -> T:
    """Return the trial whose best look at the dev questions scored highest, of equals the first.

    `train` returns the looks as `dev`, a score by step.
    """
    return max(trials, key=lambda trial: max(learnt(trial)["dev"].values()))


def _each(work: Callable[[T], Result], trials: Sequence[T], part: str) -> None:
    todo = [trial for trial in trials if not _file(trial, part).exists()]
    todo.sort(key=lambda trial: -trial.length)  # so that no process ends alone
    context = get_context("spawn")  # one thread each: two of one do more than one of two
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_alone) as pool:
        for _ in track(pool.map(partial(_do, work, part), todo), f"{part} of arms", len(todo)):
            pass


def _do(work: Callable[[T], Result], part: str, trial: T) -> None:
    Path(trial.folder).mkdir(parents=True, exist_ok=True)
    write_whole(_file(trial, part), json.dumps(work(trial)))


def _file(trial: Trial, part: str) -> Path:
    return Path(trial.folder) / f"{part}.json"


def _read(trial: Trial, part: str) -> Result:
    return json.loads(_file(trial, part).read_text())


def _alone() -> None:
    import torch

    from tasks.running.process import be_quiet, die_with_parent

    be_quiet()
    die_with_parent()
    torch.set_num_threads(1)
