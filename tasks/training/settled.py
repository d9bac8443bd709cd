"""Asks other questions in place of those that have nothing left to teach.

A group whose answers are all right or all wrong has no advantage, and its question has cost its
answers for nothing. With small data the same questions come again and again; one that was all right
or all wrong at its last visits is replaced by one that was not. The published recipes do not do so.
"""

import random
from collections import defaultdict
from typing import Any

import lightning as L

from models.engine.trl_module import TRLModule
from tasks.training.plan import Plan
from tasks.training.rollouts import outcomes

VISITS = 2  # alike, one after the other, make a question settled

Row = dict[str, Any]


class SkipSettled(L.Callback):
    """Replaces settled questions before they are answered, and keeps the record of all visits."""

    def __init__(self, plan: Plan):
        self.seed = plan.seed
        self.record: dict[int, list[float | None]] = defaultdict(list)  # None: answers differed

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        trl = self.trl = module.trl
        trl.choose, watch = self.choose, trl.watch
        # rows that cannot be trained on have been set aside
        self.places = {number: i for i, number in enumerate(trl.train_dataset["number"][:])}

        def watched(asked: list[Row], completions: list) -> dict[str, float]:
            self.note(asked, outcomes(asked, completions))
            found = watch(asked, completions) if watch else {}
            return found | {"groups/settled": len(self.settled()) / len(self.places)}

        trl.watch = watched

    def settled(self) -> set[int]:
        """Return the questions whose last visits were all right, or all wrong."""
        last = {number: visits[-VISITS:] for number, visits in self.record.items()}
        return {n for n, seen in last.items() if seen in ([0.0] * VISITS, [1.0] * VISITS)}

    def note(self, asked: list[Row], scores: list[float]) -> None:
        """Add a visit to the record of each question.

        Args:
            asked: The question of each answer.
        """
        by_question: dict[int, set[float]] = defaultdict(set)
        for row, score in zip(asked, scores, strict=True):
            by_question[row["number"]].add(score)
        for number, found in by_question.items():
            extreme = len(found) == 1 and found <= {0.0, 1.0}
            self.record[number].append(found.pop() if extreme else None)

    def choose(self, rows: list[Row]) -> list[Row]:
        """Return the rows of a step, some replaced; answers to one question stay together."""
        settled, data = self.settled(), self.trl.train_dataset
        asked = list(dict.fromkeys(row["number"] for row in rows))
        left = sorted(set(self.places) - settled - set(asked))
        draw = random.Random(f"{self.seed} {self.trl.state.global_step} {asked}")
        draw.shuffle(left)
        instead = {n: data[self.places[left.pop()]] for n in asked if n in settled and left}
        return [instead.get(row["number"], row) for row in rows]

    def state_dict(self) -> dict[str, Any]:
        """Return the record, for the checkpoint."""
        return {"record": dict(self.record)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the record of before."""
        self.record = defaultdict(list, state["record"])
