"""The table of policies: a mean with its interval per task, and paired tests against the base."""

from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

import numpy as np

from tasks.benchmarks.scoring import Score
from tasks.benchmarks.statistics import compare, interval
from tasks.records import Sample

BASE = "base"
# Tasks that reinforcement and preferences aim at; all others show what was forgotten.
OTHERS = "other tasks"


def compare_policies(
    samples: list[Sample],
    results: dict[str, list[tuple[str, Score]]],
    *,
    resamples: int,
    seed: int,
    aims: tuple[str, ...] = ("find", "tell"),
) -> list[dict[str, Any]]:
    """Compare policies on the same items.

    Args:
        results: (answer, score) per sample, by policy; `base` must be among them.
        aims: Tasks that the policies were trained for; the rest is also summed up as one row.

    Returns:
        One row per task: its name, n, the majority baseline, and per policy `mean`, `low`, `high`,
        and for all but the base `difference`, `difference_low`, `difference_high` and `p_value`.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        groups[sample.task].append(i)
        if sample.task not in aims:
            groups[OTHERS].append(i)
    values = {p: np.array([s.value for _, s in rows]) for p, rows in results.items()}
    order = [*aims, OTHERS, *sorted(set(groups) - {*aims, OTHERS})]
    table = []
    for task in (name for name in order if name in groups):
        chosen = groups[task]
        answers = Counter(samples[i].final or samples[i].answer for i in chosen)
        row: dict[str, Any] = {
            "task": task,
            "n": len(chosen),
            "majority": max(answers.values()) / len(chosen),
        }
        for policy, scores in values.items():
            row[policy] = asdict(interval(scores[chosen], resamples, seed))
            if policy != BASE:
                test = compare(scores[chosen], values[BASE][chosen], resamples, seed)
                row[policy] |= {
                    "difference": test.difference.mean,
                    "difference_low": test.difference.low,
                    "difference_high": test.difference.high,
                    "p_value": test.p_value,
                }
        table.append(row)
    return table
