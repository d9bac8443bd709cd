"""Which of two candidates is better, said after a trace, or bare: a computer pays the verdict.

`answer` is A or B, in the order shown; `details.task` says what the candidates are called, and
`details.thinks` whether a trace is asked for (`tasks/judging/traces.py`).
"""

from collections.abc import Sequence
from typing import Any

from datasets import Value

from tasks.questions.kind import TEXT, Features, Frame, Kind, Score
from tasks.records.judgements import TASKS, A, B
from tasks.records.rows import Sample
from tasks.rewards.reward import Reward
from tasks.rewards.verdicts import (
    TRACE_SIGNS,
    consistent_trace,
    right_verdict,
    trace_layout,
    trace_signs,
    winner_said,
)


class Verdict(Kind):
    """A judge's verdict, with the trace before it where one is asked for."""

    name = "verdict"
    words = True
    parts = ("layout", "consistent")
    rewards = (Reward(function=trace_layout), Reward(function=right_verdict))
    watched = staticmethod(right_verdict)
    sign_texts = TRACE_SIGNS
    features = Features({"winner": TEXT, "judged": TEXT, "thinks": Value("bool")})

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        if sample.answer not in (A, B):
            return "verdict that is neither A nor B"
        return "" if task_of(sample) in TASKS else "unknown task of a verdict"

    def truth(self, sample: Sample) -> object:
        """Return the winner."""
        return sample.answer

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score 1 or 0; a verdict in a broken layout is wrong."""
        task, traced = task_of(sample), thinks(sample)
        winner = winner_said(text, task, traced)
        [layout] = trace_layout([text], [traced])
        [agrees] = consistent_trace([text], [task], [traced])
        # of a bare verdict nothing of the kind is asked
        parts = (("layout", 1.0 if layout is None else layout),
                 ("consistent", 1.0 if agrees is None else agrees))  # fmt: skip
        if winner is None:
            return Score(0.0, "unreadable", parts=parts)
        right = winner == sample.answer
        return Score(float(right), "right" if right else f"expected {sample.answer}", parts=parts)

    def signs(self, text: str, row: dict[str, Any], classes: Sequence[str]) -> list[str]:
        """Return in what a trace contradicts itself, and whether it scores everything alike."""
        return trace_signs(text, row["judged"]) if row["thinks"] else []

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, Any]:
        """Return the winner, the task, and whether a trace is asked for."""
        return {"winner": sample.answer, "judged": task_of(sample), "thinks": thinks(sample)}


def task_of(sample: Sample) -> str:
    """Return what is judged."""
    return str(sample.details.get("task", TASKS[0]))


def thinks(sample: Sample) -> bool:
    """Return whether a trace is asked for."""
    return bool(sample.details.get("thinks", True))
