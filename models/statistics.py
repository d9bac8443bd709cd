"""Intervals around means, paired comparisons with the base model, and how many were made.

Every function holds for no items, one and two: what cannot be told is None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, norm, permutation_test

LEVEL, POWER = 0.95, 0.8
# The smallest p-value is 2 in so many. With 2,000 it would be 0.001, and none of 87 tests could
# ever be told from chance: Holm's first step asks for 0.0006.
PERMUTATIONS = 20_000
AT_ONCE = 2**21  # numbers that are permuted together, 16 MB


def mean(values: Iterable[float]) -> float | None:
    """Return the mean of what there is; None of nothing, which has none.

    >>> mean([True, False]), mean([])
    (0.5, None)
    """
    held = list(values)
    return sum(held) / len(held) if held else None


def known(measures: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out what could not be measured: a score of zero would be a lie about it."""
    return {name: value for name, value in measures.items() if value is not None}


@dataclass(frozen=True)
class Interval:
    """A mean and its bootstrap interval (95 %)."""

    mean: float
    low: float
    high: float


def interval(values: np.ndarray, resamples: int, seed: int = 0) -> Interval | None:
    """Return the mean with its percentile bootstrap interval (Efron 1979); None of nothing.

    Args:
        values: One number per item. The interval of a single one is that number.
    """
    if not len(values):
        return None
    center = float(np.mean(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return Interval(center, center, center)
    found = bootstrap(
        (values,), np.mean, n_resamples=resamples, confidence_level=LEVEL, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(center, float(found.low), float(found.high))


@dataclass(frozen=True)
class Comparison:
    """The paired difference to the base model and its two-sided p-value (sign-flip permutation).

    Attributes:
        error: Standard error of the difference; None where it cannot be told: of one item, or of
            differences that are all the same.
    """

    difference: Interval
    p_value: float
    error: float | None = None


def compare(
    values: np.ndarray, base: np.ndarray, resamples: int, seed: int = 0
) -> Comparison | None:
    """Compare two models on the same items; None without items.

    Args:
        values, base: Scores of the same items in the same order.
        resamples: Of the interval; the p-value has permutations of its own.
    """
    differences = np.asarray(values) - np.asarray(base)
    found = interval(differences, resamples, seed)
    if found is None:
        return None
    if np.all(differences == 0):
        return Comparison(found, 1.0)
    if len(differences) == 1:  # with its sign flipped it is as far from zero
        return Comparison(found, 1.0)
    test = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=PERMUTATIONS,
        batch=max(1, AT_ONCE // len(differences)), rng=np.random.default_rng(seed),
    )  # fmt: skip
    error = float(np.std(differences, ddof=1)) / len(differences) ** 0.5
    return Comparison(found, float(test.pvalue), error or None)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for how many tests were made (Holm 1979), in the same order.

    With them below 0.05, the chance of even one false difference among all tests is below 5 %.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, held = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        held = max(held, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = held
    return adjusted


def smallest_seen(error: float | None, tests: int) -> float | None:
    """Return the difference that this many tests would have shown with a probability of 80 %.

    Args:
        error: Standard error of the paired difference.
        tests: How many the level is shared by; Holm's first step asks each for 0.05 / tests.

    >>> round(smallest_seen(0.02, tests=1), 3), round(smallest_seen(0.02, tests=87), 3)
    (0.056, 0.086)
    """
    if error is None:
        return None
    return float(norm.ppf(1 - (1 - LEVEL) / 2 / tests) + norm.ppf(POWER)) * error


def told(comparisons: Sequence[Comparison]) -> list[dict[str, float | None]]:
    """Return all comparisons of one table as it holds them, adjusted for their number.

    Returns:
        For each `difference`, `low`, `high`, `p_value`, `p_adjusted` (Holm) and `smallest_seen`.
    """
    adjusted = holm([one.p_value for one in comparisons])
    return [
        {
            "difference": one.difference.mean,
            "low": one.difference.low,
            "high": one.difference.high,
            "p_value": one.p_value,
            "p_adjusted": p,
            "smallest_seen": smallest_seen(one.error, len(comparisons)),
        }
        for one, p in zip(comparisons, adjusted, strict=True)
    ]
