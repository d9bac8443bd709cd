"""Whether a judge's preferences mean what they say: how sure, how right, and where equal begins.

A preference is the probability that the first candidate is better, averaged over both orders. What
is fitted (a temperature, the width of the tie band) is fitted on dev and applied to test.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from torchmetrics.functional.classification import binary_calibration_error

from models.statistics import known, mean
from tasks.judging.verdicts import TIE

BINS = 10
NEAR = 1e-6  # how close to 0 and 1 a preference may come before its logarithm is taken
COOLEST, HOTTEST = 1e-2, 1e2


def tau_and_diff(gold: Sequence[str], verdicts: Sequence[str | None]) -> dict[str, float]:
    """Return the share of right verdicts, and that on the items with a human winner.

    The formulas of GenAI-Bench and VideoGen-RewardBench (specification of UnifiedReward, section
    7), one for both.

    Args:
        gold: "A", "B" or "tie"; an item of which both are bad is a tie.
        verdicts: What the judge says; None where it cannot be read, which is wrong.

    Returns:
        `tau` over all items, `diff` over those with a winner; each left out without any.

    >>> tau_and_diff(["A", "B", "tie"], ["A", "A", "tie"])
    {'tau': 0.6666666666666666, 'diff': 0.5}
    """
    right = [verdict == truth for truth, verdict in zip(gold, verdicts, strict=True)]
    decided = [hit for truth, hit in zip(gold, right, strict=True) if truth != TIE]
    return known({"tau": mean(right), "diff": mean(decided)})


def brier(preferences: Sequence[float], first_is_better: Sequence[bool]) -> float:
    """Return the mean squared distance from the truth, in [0, 1]; 0.25 for who never knows.

    >>> brier([1.0, 0.5], [True, False])
    0.125
    """
    truth = np.asarray(first_is_better, float)
    return float(np.mean((np.asarray(preferences, float) - truth) ** 2))


def calibration_error(preferences: Sequence[float], first_is_better: Sequence[bool]) -> float:
    """Return the expected calibration error over ten bins of equal width, in [0, 1].

    Of the winner and not of the first candidate: the surety max(p, 1 - p) against how often that
    winner is right.
    """
    chosen = np.asarray(preferences, float)
    sure = np.maximum(chosen, 1 - chosen)
    right = (chosen >= 0.5) == np.asarray(first_is_better, bool)
    found = binary_calibration_error(torch.from_numpy(sure), torch.from_numpy(right).long(), BINS)
    return float(found)


def temperature(preferences: Sequence[float], first_is_better: Sequence[bool]) -> float:
    """Return the temperature that makes preferences likeliest: above 1 for who is too sure."""
    logits, truth = _logits(preferences), np.asarray(first_is_better, bool)
    signed = np.where(truth, logits, -logits)

    def surprise(log_temperature: float) -> float:
        return float(np.logaddexp(0, -signed / np.exp(log_temperature)).mean())

    bounds = np.log([COOLEST, HOTTEST])
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x))


def tempered(preferences: Sequence[float], at: float) -> list[float]:
    """Return preferences at a temperature; which candidate is preferred stays.

    >>> [round(p, 2) for p in tempered([0.9, 0.5], 2.0)]
    [0.75, 0.5]
    """
    return expit(_logits(preferences) / at).tolist()


def verdicts_within(preferences: Sequence[float | None], band: float) -> list[str | None]:
    """Return "A", "B", or a tie where a preference is nearer to 0.5 than `band`; None for none.

    >>> verdicts_within([0.9, 0.52, 0.1, None], 0.05)
    ['A', 'tie', 'B', None]
    """
    return [
        None if p is None else TIE if abs(p - 0.5) < band or p == 0.5 else "AB"[p < 0.5]
        for p in preferences
    ]


def tie_band(preferences: Sequence[float | None], gold: Sequence[str]) -> float:
    """Return the width of the band around 0.5 with the highest tau; the narrowest of equal ones.

    A judge that never says "equal" gets a tau by it. To be chosen on dev.
    """
    apart = sorted({abs(p - 0.5) for p in preferences if p is not None})
    # between two preferences no width is another; beyond the last all are ties
    between = [(a + b) / 2 for a, b in zip(apart, apart[1:], strict=False)]
    widths = [0.0, *between, *([apart[-1] + NEAR] if apart else [])]
    return max(
        widths, key=lambda w: tau_and_diff(gold, verdicts_within(preferences, w)).get("tau", 0)
    )


def _logits(preferences: Sequence[float]) -> np.ndarray:
    return logit(np.clip(np.asarray(preferences, float), NEAR, 1 - NEAR))
