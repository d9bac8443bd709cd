"""The traces of a teacher without flaws, for arms that say how far writing can bring a judge."""

import random
from collections.abc import Sequence

from tasks.benchmarks.thinking import true_scores
from tasks.judging.rejection import KeptTrace
from tasks.judging.traces import Row, write_trace
from tasks.records.judgements import A, B, Judgement


def true_traces(pairs: Sequence[Judgement], seen: bool, seed: int) -> list[KeptTrace]:
    """Return traces with the true scores and the true winner, in orders that are drawn.

    Args:
        seen: They say before a score what is there.
    """
    rng, found = random.Random(seed), []
    for pair in pairs:
        turned = rng.random() < 0.5
        shown = pair.swapped() if turned else pair
        told = zip(*shown.details["seen"], strict=True) if seen else [("", "")] * 3
        rows = [
            Row(name, scores, words)
            for (name, scores), words in zip(true_scores(shown).items(), told, strict=True)
        ]
        first, second = (sum(row.scores[side] for row in rows) for side in (0, 1))
        found.append(KeptTrace(pair, turned, write_trace(pair.task, rows, A if first > second
                                                         else B)))  # fmt: skip
    return found
