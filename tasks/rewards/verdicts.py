"""Rewards of a judge that thinks before its verdict, and signs that it earns them by a trick.

After UnifiedReward-Think (arXiv 2505.03318; specification, section 4, strict): a verdict counts
only in a text that keeps its layout, and data without a label pays nothing, where the released code
pays 0.1. That scores, sums and verdict agree is asked for in the paper's prompt and checked nowhere
in its code; here it can be paid (`consistent_trace`).
"""

from collections.abc import Sequence

from tasks.asking.answers import Malformed
from tasks.judging.traces import consistency, flaws, parse_trace, thought_and_answer
from tasks.judging.verdicts import pair_winner
from tasks.records.judgements import A, B
from tasks.rewards.text import content_of

TRACE_SIGNS = {
    "rows": "no dimension, one without both scores, or the same twice",
    "out_of_range": "a score that is not 1 to 10",
    "no_totals": "no total of both candidates",
    "other_addends": "a total of other numbers than the scores",
    "wrong_sum": "a sum that is wrong",
    "equal_totals": "equal totals, and a winner",
    "against_totals": "a verdict against its totals",
    "alike": "the same score for everything",
    "halo": "all dimensions scored as the first",
    "cut_off": "a trace without an end",
}


def right_verdict(
    completions: Sequence, winner: Sequence, judged: Sequence, thinks: Sequence | None = None,
    **_: object,
) -> list[float | None]:  # fmt: skip
    """Reward the right verdict (0 or 1); 0 where the layout is broken, None without a label.

    >>> right_verdict(["<think>a</think><answer>Image 2 is better</answer>"], ["B"],
    ...               ["image_generation"])
    [1.0]

    Args:
        winner: "A" or "B", in the order shown.
        judged: The task, which says what its candidates are called.
        thinks: Which ask for a trace; the others ask for the bare verdict.
    """
    traced = thinks or [True] * len(completions)
    rewards: list[float | None] = []
    for completion, truth, task, thought in zip(completions, winner, judged, traced, strict=True):
        if truth not in (A, B):
            rewards.append(None)
            continue
        rewards.append(float(winner_said(content_of(completion), task, thought) == truth))
    return rewards


def winner_said(text: str, task: str, thinks: bool) -> str | None:
    """Return the winner that a text names, "A" or "B"; None where it cannot be read."""
    if not thinks:
        return pair_winner(text, task)
    try:
        return parse_trace(text, task).winner
    except Malformed:
        return None


def trace_layout(
    completions: Sequence, thinks: Sequence | None = None, **_: object
) -> list[float | None]:
    """Reward one non-empty thought and one answer, and nothing else (0 or 1).

    Args:
        thinks: Which ask for a trace; the others get None.
    """
    traced = thinks or [True] * len(completions)
    return [
        _kept(content_of(completion)) if thought else None
        for completion, thought in zip(completions, traced, strict=True)
    ]


def consistent_trace(
    completions: Sequence, judged: Sequence, thinks: Sequence | None = None, **_: object
) -> list[float | None]:
    """Reward scores, sums and a verdict that agree (0 or 1); None where no trace is asked for."""
    traced = thinks or [True] * len(completions)
    return [
        _agrees(content_of(completion), task) if thought else None
        for completion, task, thought in zip(completions, judged, traced, strict=True)
    ]


def trace_signs(text: str, task: str) -> list[str]:
    """Return the names of the signs that a trace shows; see `TRACE_SIGNS`."""
    try:
        trace = parse_trace(text, task)
    except Malformed as reason:
        return ["cut_off"] if str(reason) == "cut off" else []
    scores = [row.scores for row in trace.rows]
    everything = {score for pair in scores for score in pair}
    signs = flaws(trace)
    if len(scores) > 1 and len(everything) == 1:
        signs.append("alike")
    elif len(scores) > 1 and len(set(scores)) == 1:
        signs.append("halo")
    return signs


def _kept(text: str) -> float:
    try:
        thought_and_answer(text)
    except Malformed:
        return 0.0
    return 1.0


def _agrees(text: str, task: str) -> float:
    try:
        return float(consistency(parse_trace(text, task)))
    except Malformed:
        return 0.0
