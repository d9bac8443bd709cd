"""The table of policies: a mean with its interval per task, and paired tests against the base."""

from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

import numpy as np

from models.statistics import Comparison, compare, interval, told
from tasks.records.rows import Sample

BASE = "base"
# Tasks that reinforcement and preferences aim at; all others show what was forgotten.
OTHERS = "other tasks"


def compare_policies(
    samples: list[Sample],
    scores: dict[str, list[float]],
    *,
    resamples: int,
    seed: int,
    aims: tuple[str, ...] = ("find", "tell"),
) -> list[dict[str, Any]]:
    """Compare policies on the same items.

    Args:
        scores: The score of each sample, by policy; `base` must be among them.
        aims: Tasks that the policies were trained for; the rest is also summed up as one row.

    Returns:
        One row per task: its name, n, the majority baseline, and per policy `mean`, `low`, `high`,
        and for all but the base `difference`, `difference_low`, `difference_high`, `p_value`,
        `p_adjusted` for the number of comparisons in the table (Holm), and `smallest_seen`, the
        difference that would have been seen with a probability of 80 %.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        groups[sample.task].append(i)
        if sample.task not in aims:
            groups[OTHERS].append(i)
    values = {policy: np.array(held) for policy, held in scores.items()}
    order = [*aims, OTHERS, *sorted(set(groups) - {*aims, OTHERS})]
    table: list[dict[str, Any]] = []
    made: list[tuple[dict[str, Any], Comparison]] = []
    for task in (name for name in order if name in groups):
        chosen = groups[task]
        answers = Counter(samples[i].final or samples[i].answer for i in chosen)
        row: dict[str, Any] = {
            "task": task,
            "n": len(chosen),
            "majority": max(answers.values()) / len(chosen),
        }
        for policy, held in values.items():
            found = interval(held[chosen], resamples, seed)
            row[policy] = asdict(found) if found else {}
            test = compare(held[chosen], values[BASE][chosen], resamples, seed)
            if policy != BASE and test:
                made.append((row[policy], test))
        table.append(row)
    for (cell, _), facts in zip(made, told([test for _, test in made]), strict=True):
        cell |= {"difference_low": facts.pop("low"), "difference_high": facts.pop("high")} | facts
    return table
