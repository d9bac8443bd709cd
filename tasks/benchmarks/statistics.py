"""Intervals around means, and paired comparisons with the base model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, permutation_test

LEVEL = 0.95


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


def interval(values: np.ndarray, resamples: int, seed: int = 0) -> Interval:
    """Return the mean with its percentile bootstrap interval (Efron 1979).

    Args:
        values: One number per item.
    """
    mean = float(np.mean(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    found = bootstrap(
        (values,), np.mean, n_resamples=resamples, confidence_level=LEVEL, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(found.low), float(found.high))


@dataclass(frozen=True)
class Comparison:
    """The paired difference to the base model and its two-sided p-value (sign-flip permutation)."""

    difference: Interval
    p_value: float


def compare(values: np.ndarray, base: np.ndarray, resamples: int, seed: int = 0) -> Comparison:
    """Compare two models on the same items.

    Args:
        values, base: Scores of the same items in the same order.
    """
    differences = np.asarray(values) - np.asarray(base)
    if np.all(differences == 0):
        return Comparison(Interval(0.0, 0.0, 0.0), 1.0)
    if len(differences) == 1:  # with its sign flipped it is as far from zero
        return Comparison(interval(differences, resamples, seed), 1.0)
    test = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=resamples,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Comparison(interval(differences, resamples, seed), float(test.pvalue))
