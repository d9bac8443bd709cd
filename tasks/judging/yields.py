"""What rejection sampling yields, by source, task, margin and order."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from tasks.judging.rejection import Both, KeptTrace
from tasks.records.judgements import Judgement

ORDERS = ("as it stands", "turned")


def yield_by(
    pairs: Sequence[Judgement], thoughts: Sequence[Both], kept: Iterable[KeptTrace]
) -> dict[str, dict[str, list[int]]]:
    """Return how many traces were written, were right and were kept, by what pairs have in common.

    >>> yield_by([], [], [])
    {}
    """
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    for pair, both in zip(pairs, thoughts, strict=True):
        for order, some in zip(ORDERS, both, strict=True):
            for thought in some:
                for name, value in _common(pair, order):
                    found[name][value][0] += 1
                    found[name][value][1] += thought.winner == pair.winner
    for trace in kept:
        for name, value in _common(trace.pair, ORDERS[trace.turned]):
            found[name][value][2] += 1
    return {name: dict(sorted(rows.items())) for name, rows in found.items()}


def _common(pair: Judgement, order: str) -> list[tuple[str, str]]:
    common = [("source", pair.source or pair.task), ("task", pair.task), ("order", order)]
    return common if pair.margin is None else [*common, ("margin", str(pair.margin))]
