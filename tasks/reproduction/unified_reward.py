"""Puts UnifiedReward's claim to the test: is one judge of four tasks better than four judges?

Follows arXiv 2503.05236, section 4, and repairs its comparison where it is open (specification,
sections 8 and 9): judges of one task and the joint one take the same number of optimiser steps, and
beside them each judge of one task is also stopped after its share of them ("native"). Every judge
is asked pairs of all four tasks, in both orders, and again without pictures. Controls: verdicts
that were shuffled, one style of judgements alone. Run it with `make reproduce
SYSTEM=unified_reward`.

How the arms are run, and go on after a kill: `tasks/reproduction/arms.py`.
"""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.asking.turns import asking
from tasks.benchmarks.judging import pair_measures
from tasks.judging.controls import without_pictures
from tasks.judging.judge import judge_pairs
from tasks.judging.verdicts import right_winner
from tasks.records.judgements import STYLES, TASKS, TIE, Judgement, judgement_of, of_style
from tasks.records.rows import read_samples
from tasks.reproduction.arms import BASE, Result, learnt, run_trials
from tasks.training.judge import chosen, train_judge
from tasks.training.plan import Plan

SCARCE = "video_generation"  # claim C5: the task with the fewest judgements gains the most
PLENTY = "joint, plenty of judgements"
PILOT_SEED = 1000  # of judges that no result uses
REACHED = 0.8  # of dev pairs of every task that a judge with plenty of judgements is right about


@dataclass(frozen=True)
class Arm:
    """One judge.

    Attributes:
        tasks, styles: Of the judgements that it learns from.
        share: Of the optimiser steps that all others take.
        scarce: A task of which it has a quarter of the judgements.
        shuffled: Its verdicts belong to other judgements of the same task and style.
    """

    name: str
    tasks: tuple[str, ...] = TASKS
    styles: tuple[str, ...] = STYLES
    share: float = 1.0
    scarce: str = ""
    shuffled: bool = False


ARMS = (
    Arm(BASE, tasks=()),
    Arm("joint"),
    *(Arm(f"{task} alone", (task,)) for task in TASKS),
    *(Arm(f"{task} alone, native", (task,), share=0.25) for task in TASKS),
    Arm(f"{SCARCE} alone, a quarter", (SCARCE,), scarce=SCARCE),
    Arm(f"joint, a quarter of {SCARCE}", scarce=SCARCE),
    Arm("joint, pairs alone", styles=("pair",)),
    Arm("joint, points alone", styles=("point",)),
    Arm("joint, shuffled verdicts", shuffled=True),
)


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, in plain values.

    Attributes:
        per_task: Judgements of each task, half of them pairs and half of them points.
        dev, test: Pairs of each task; every seed is tested on others.
        blind: Of the test pairs of each task, asked again without pictures.
    """

    arm: Arm
    seed: int
    data: str
    start: str
    folder: str
    per_task: int
    joint_steps: int
    batch: int
    learning_rate: float
    look_every: int
    dev: int
    test: int
    blind: int
    max_new_tokens: int
    split: str = "test"

    @property
    def steps(self) -> int:
        """How many optimiser steps it takes."""
        return round(self.joint_steps * self.arm.share) if self.arm.tasks else 0

    @property
    def length(self) -> int:
        """How long it takes, compared with others."""
        return self.steps


def trials(*, data: str, start: str, folder: Path, seeds: int, **sizes: float) -> list[Trial]:
    """Return the trials of the experiment.

    Args:
        data: Folder of the judgements.
        start: Folder of the model that all judges start from.
        sizes: The fields of `Trial` from `per_task` on.
    """
    return [
        Trial(
            arm,
            seed,
            data,
            start,
            str(folder / "jobs" / f"{arm.name}-{seed}".replace(" ", "_").replace(",", "")),
            **sizes,  # type: ignore[arg-type]
        )  # fmt: skip
        for arm in ARMS
        for seed in range(seeds)
    ]


def pilots(steps: int, *, folder: Path, **how: Any) -> list[Trial]:
    """Return the base and a joint judge of all judgements there are, asked dev pairs.

    Scarce judges say something only where a plentiful one learns its tasks (see `reached`).

    Args:
        steps: Optimiser steps of the judge.
        how: As in `trials`, but for the seeds.
    """
    sizes = {name: value for name, value in how.items() if name not in ("seeds", "data", "start")}
    sizes |= {"per_task": 10**9, "joint_steps": steps, "look_every": steps}
    return [
        Trial(
            arm, PILOT_SEED, how["data"], how["start"], str(folder / "pilot" / name), **sizes,
            split="dev",
        )
        for arm, name in ((ARMS[0], BASE), (Arm(PLENTY), "plenty"))
    ]  # fmt: skip


def reached(results: Sequence[Result]) -> bool:
    """Return whether a judge with plenty of judgements learnt every task."""
    return all(
        result["best/test"]["score"] >= REACHED for result in results if result["arm"] == PLENTY
    )


def run(trials: Sequence[Trial]) -> list[Result]:
    """Train every judge, then ask it; returns a result per judge, seed and task asked about."""
    found = run_trials(trials, train_trial, ask_trial)
    return [
        {name: value for name, value in result.items() if name != "asked"}
        | {
            "question": result["prefix"] + task,
            "best/test": asked["test"],
            "best/blind": asked["blind"],
        }
        for result in found
        for task, asked in result["asked"].items()
    ]


def train_trial(trial: Trial) -> Result:
    """Train one judge, and return its looks at the dev pairs and its curve."""
    pilot = "pilot, " if trial.seed == PILOT_SEED else ""
    facts: Result = {"arm": trial.arm.name, "seed": trial.seed, "prefix": pilot}
    if not trial.steps:
        return facts
    taught, dev = judgements_of(trial)
    folder, began = Path(trial.folder), time.process_time()
    plan = Plan(
        model=trial.start, out=str(folder / "model"), scratch=str(folder / "scratch"), run_id="",
        seed=trial.seed, device="cpu", watched=right_winner, look_tokens=trial.max_new_tokens,
        evaluate_every=min(trial.look_every, trial.steps), evaluated=2 * len(dev),
        steps=trial.steps, section="unified_reward", batch=trial.batch,
    )  # fmt: skip
    (folder / "scratch").mkdir(exist_ok=True)
    history = train_judge(taught, plan, trial.learning_rate, dev=dev)
    looks = json.loads((folder / "scratch" / "looks.json").read_text())
    scores = {int(step): score for step, score in looks.items()}
    return facts | {
        "dev": scores, "best_step": max(scores, key=lambda step: (scores[step], -step)),
        "steps": trial.steps, "judgements": len(taught),
        "training_seconds": time.process_time() - began, "history": history,
    }  # fmt: skip


def judgements_of(trial: Trial) -> tuple[list[Judgement], list[Judgement]]:
    """Return what a judge learns from, and the dev pairs that choose its best look.

    All arms of a seed have the same judgements of a task, whatever else they learn from.
    """
    arm, half = trial.arm, trial.per_task // 2
    taught: list[Judgement] = []
    for task in TASKS:
        for style in STYLES:
            rng = random.Random(f"unified_reward/{trial.seed}/{task}/{style}")
            there, _ = chosen(_read(trial, "train"), (task,), (style,), 0)
            mine = rng.sample(there, min(half, len(there)))
            if task == arm.scarce:
                mine = mine[: half // 4]
            if task in arm.tasks and style in arm.styles:
                taught += _shuffled(mine, rng) if arm.shuffled else mine
    dev = [
        pair for task in arm.tasks
        for pair in _pairs(trial, "dev", task)[: trial.dev // len(arm.tasks)]
    ]  # fmt: skip
    return taught, dev


def ask_trial(trial: Trial) -> Result:
    """Ask one judge about test pairs of every task, with their pictures and without."""
    folder = Path(trial.folder)
    model = str(folder / "model") if "dev" in learnt(trial) else trial.start
    asked: dict[str, Result] = {}
    with asking(model, folder, "cpu") as judge:
        for task in TASKS:
            first = trial.seed * trial.test if trial.split == "test" else 0
            pairs = _pairs(trial, trial.split, task)[first : first + trial.test]
            blind = [without_pictures(pair) for pair in pairs[: trial.blind]]
            asked[task] = {}
            for part, some in (("test", pairs), ("blind", blind)):
                verdicts = judge_pairs(judge, some, max_new_tokens=trial.max_new_tokens)
                found = pair_measures(some, verdicts)
                items = {
                    pair.id: float(verdict.winner == pair.winner)
                    for pair, verdict in zip(some, verdicts, strict=True)
                }
                asked[task][part] = found | {"score": found["accuracy"], "items": items}
    return {"asked": asked}


def _pairs(trial: Trial, split: str, task: str) -> list[Judgement]:
    """Return the pairs of a task that have a winner, in the order of the data."""
    pairs = of_style([j for j in _read(trial, split) if j.task == task], "pair")
    return [pair for pair in pairs if pair.winner != TIE]


def _read(trial: Trial, split: str) -> list[Judgement]:
    return [judgement_of(sample) for sample in read_samples(Path(trial.data), split)]


def _shuffled(judgements: Sequence[Judgement], rng: random.Random) -> list[Judgement]:
    """Return judgements whose verdicts belong to others of them."""
    verdicts = [(j.winner, j.score) for j in judgements]
    rng.shuffle(verdicts)
    return [
        replace(judgement, winner=winner, score=score)
        for judgement, (winner, score) in zip(judgements, verdicts, strict=True)
    ]
