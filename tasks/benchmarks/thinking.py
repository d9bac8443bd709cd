"""What a judge that thinks is worth: its verdicts, its traces, and whether they go together.

Every pair is asked in both orders, and each order counts: a trace knows no tie, so that a mean of
the two would hide which one is wrong (UnifiedReward-Think's specification, section 7).
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from models.statistics import known, mean
from tasks.asking.asker import Asker
from tasks.benchmarks.judging import Metrics
from tasks.judging.judge import Verdict
from tasks.judging.thinking import Dimensions, Thought, asked_to_think, voted
from tasks.judging.traces import consistency, flaws, rescored, verdict_said
from tasks.records.judgements import OTHER, A, B, Judgement

Both = tuple[Thought, Thought]  # of a pair as it stands, and turned round


def right_in_orders(pair: Judgement, verdict: Verdict) -> float:
    """Return the share of the two orders in which the winner is named: 0, a half or 1."""
    return fmean(winner == pair.winner for winner in verdict.orders)


def verdict_measures(pairs: Sequence[Judgement], verdicts: Sequence[Verdict]) -> Metrics:
    """Return what verdicts are worth, whether they stand after a trace or bare.

    Returns:
        `diff`, the share of right verdicts over both orders, also by margin; `swap`, how often both
        orders name the same; `gold_first` and `gold_second`, the share of right ones where the
        winner is shown first, and second; `unreadable`; `tokens` and `seconds` of a verdict.
    """
    both = list(zip(pairs, verdicts, strict=True))
    first, second = [], []  # right, where the winner is shown first, and second
    for pair, verdict in both:
        straight, turned = (winner == pair.winner for winner in verdict.orders)
        (first if pair.winner == A else second).append(straight)
        (second if pair.winner == A else first).append(turned)
    found = {
        "n": float(len(pairs)),
        "diff": mean(right_in_orders(pair, verdict) for pair, verdict in both),
        "swap": mean(verdict.consistent for verdict in verdicts),
        "gold_first": mean(first),
        "gold_second": mean(second),
        "unreadable": mean(winner is None for v in verdicts for winner in v.orders),
        "tokens": mean(v.tokens / 2 for v in verdicts),
        "seconds": mean(v.seconds / 2 for v in verdicts),
    }
    by_margin: dict[int, list[float]] = defaultdict(list)
    for pair, verdict in both:
        if pair.margin is not None:
            by_margin[pair.margin].append(right_in_orders(pair, verdict))
    return known(found | {f"diff_margin_{n}": mean(by_margin[n]) for n in sorted(by_margin)})


def trace_measures(pairs: Sequence[Judgement], thoughts: Sequence[Both]) -> Metrics:
    """Return what traces are worth, those of both orders together.

    Returns:
        `layout`, the share that can be read; of those `consistent`, `wrong_sum`, `against_totals`;
        where the true scores are known (`details.cells`) `cell_error`, the mean distance of a
        score, and `cells`, the share of exact ones.
    """
    read = [
        (order, thought.trace) for pair, both in zip(pairs, thoughts, strict=True)
        for order, thought in zip((pair, pair.swapped()), both, strict=True) if thought.trace
    ]  # fmt: skip
    found = [flaws(trace) for _, trace in read]
    errors = [
        abs(score - true)
        for order, trace in read for row in trace.rows
        for score, true in zip(row.scores, true_scores(order).get(row.name, ()), strict=False)
    ]  # fmt: skip
    return known(
        {
            "layout": mean(thought.trace is not None for both in thoughts for thought in both),
            "consistent": mean(consistency(trace) for _, trace in read),
            "wrong_sum": mean("wrong_sum" in some for some in found),
            "against_totals": mean("against_totals" in some for some in found),
            "cell_error": mean(errors),
            "cells": mean(error == 0 for error in errors),
        }
    )


def voted_measures(
    pairs: Sequence[Judgement],
    thoughts: Sequence[tuple[Sequence[Thought], Sequence[Thought]]],
    votes: int,
) -> Metrics:
    """Return how often most of so many sampled traces name the winner; a draw is a half."""
    worth = []
    for pair, both in zip(pairs, thoughts, strict=True):
        winner = voted(both, votes)
        worth.append(0.5 if winner is None else float(winner == pair.winner))
    return known({"voted": mean(worth), "voted_n": float(len(pairs))})


def follows(
    judge: Asker, pairs: Sequence[Judgement], thoughts: Sequence[Both], wanted: Dimensions = ()
) -> Metrics:
    """Return whether the verdict follows the scores, and what adding costs once they are true.

    In the judge's own traces the scores of the two candidates are exchanged, with their sums; then
    the true ones are put in their place. Which verdict the judge would write after them is told by
    the log-probabilities of both.

    Returns:
        `follows`, the share of verdicts that name the larger of the exchanged totals, and
        `with_true_scores`, that of right ones after the true scores.
    """
    asked: list[tuple[str, Judgement, str, str]] = []  # what for, the order, text, larger total
    for pair, both in zip(pairs, thoughts, strict=True):
        for order, thought in zip((pair, pair.swapped()), both, strict=True):
            if thought.trace is None or thought.trace.broken:
                continue
            other = [(b, a) for a, b in (row.scores for row in thought.trace.rows)]
            known_ones = true_scores(order)
            true = [known_ones.get(row.name, row.scores) for row in thought.trace.rows]
            kinds = [("follows", other), *([("with_true_scores", true)] if known_ones else [])]
            for name, scores in kinds:
                first, second = (sum(pair[side] for pair in scores) for side in (0, 1))
                if first != second:
                    text = rescored(thought.answer.text, order.task, scores)
                    asked.append((name, order, text, A if first > second else B))
    said = judge.score(
        [
            (asked_to_think(order, wanted), _ending_with(text, order.task, winner))
            for _, order, text, _ in asked for winner in (A, B)
        ],
        title="exchanging scores",
    )  # fmt: skip
    right: dict[str, list[bool]] = defaultdict(list)
    for (name, order, _, larger), first, second in zip(asked, said[::2], said[1::2], strict=True):
        verdict = A if first.total > second.total else B
        right[name].append(verdict == (larger if name == "follows" else _winner(order)))
    return known({name: mean(values) for name, values in right.items()})


def true_scores(order: Judgement) -> dict[str, tuple[int, ...]]:
    """Return the true scores of both candidates by dimension; none where nobody knows them."""
    cells, names = order.details.get("cells"), order.details.get("dimensions")
    if not cells or not names:
        return {}
    return dict(zip(names, zip(*cells, strict=True), strict=True))


def _winner(order: Judgement) -> str:
    """Return who truly wins; a flipped label is none of the judge's faults."""
    return OTHER[order.winner] if order.details.get("flipped") else order.winner


def _ending_with(text: str, task: str, winner: str) -> str:
    thought = text[: text.index("<answer>")]
    return f"{thought}<answer>{verdict_said(task, winner)}</answer>"
