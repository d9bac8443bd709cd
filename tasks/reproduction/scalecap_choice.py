"""Chooses on dev how sentences are rated: which way tells true sentences best, and from where on.

Beside the contrast of the picture stands confidence, which is the picture's own log-probability: a
way to rate for half the price, and the one to beat.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, get_args

import numpy as np
from scipy.stats import mannwhitneyu

from tasks.reproduction.scalecap_arms import CONFIDENCE
from tasks.reproduction.scalecap_captions import Choice, Picture, alone, evidence_of
from tasks.synthesis.captioning.drafting import Rating, trust
from tasks.synthesis.captioning.rating import Reduction

CONTRAST = ("logprob", "prob")
KEPT = 0.95  # share of the true sentences that a threshold keeps
RESAMPLES = 1000


def auroc(true: Sequence[float], false: Sequence[float]) -> float | None:
    """Return how often a true sentence scores above a false one, equals counting half.

    >>> auroc([1, 2], [0, 1])
    0.875
    """
    if not len(true) or not len(false):
        return None
    return float(mannwhitneyu(true, false).statistic) / (len(true) * len(false))


def scored(
    pictures: Sequence[Picture], gap: str, how: Rating
) -> list[list[tuple[str, float, bool]]]:
    """Return, per picture, the sentences of its draft: each with its score and whether it is true.

    A sentence whose truth nobody knows, and one without a score, is left out.
    """
    found = []
    for picture in pictures:
        draft = evidence_of(picture["draft"])
        rated = trust(alone(draft) if gap == CONFIDENCE else draft, how).rated
        found.append([
            (one.text, one.score, picture["true"][one.text]) for one in rated
            if one.score is not None and one.text in picture["true"]
        ])  # fmt: skip
    return found


def options(pictures: Sequence[Picture]) -> list[dict[str, Any]]:
    """Return every way of rating with its AUROC, its interval over pictures, and its threshold."""
    found = []
    for gap, reduction, weighted in product(
        (*CONTRAST, CONFIDENCE), get_args(Reduction), (True, False)
    ):
        if reduction == "noun" and not weighted:
            continue
        how = rating(gap, reduction, weighted)
        rows = scored(pictures, gap, how)
        flat = [(score, true) for row in rows for _, score, true in row]
        true, false = ([s for s, t in flat if t is wanted] for wanted in (True, False))
        low, high = _interval(rows)
        at = threshold(true)
        found.append({
            "gap": gap, "reduction": reduction, "weighted": weighted, "auroc": auroc(true, false),
            "low": low, "high": high, "threshold": at, "true": len(true), "false": len(false),
            "false_kept": float(np.mean(np.array(false) > at)) if false else None,
        })  # fmt: skip
    return found


def chosen(dev: Sequence[Picture]) -> Choice:
    """Return the contrast that tells true sentences best on dev, and both sorts of confidence."""
    found = options(dev)

    def of(rows: list[dict[str, Any]]) -> Rating:
        best = max(rows, key=lambda row: row["auroc"] or 0.0)
        how = rating(best["gap"], best["reduction"], best["weighted"])
        return Rating(how.gap, how.reduction, best["threshold"], how.tagger)

    confident = [row for row in found if row["gap"] == CONFIDENCE]
    return Choice(
        contrast=of([row for row in found if row["gap"] in CONTRAST]),
        likely=of([r for r in confident if r["reduction"] == "mean" and not r["weighted"]]),
        nouns=of([row for row in confident if row["reduction"] == "noun"]),
    )


def rating(gap: str, reduction: Reduction, weighted: bool) -> Rating:
    """Return a way of rating; confidence is a gap to nothing, in log-probabilities."""
    kind = "prob" if gap == "prob" else "logprob"
    return Rating(kind, reduction, 0.0, "pattern" if weighted else "")  # type: ignore[arg-type]


def threshold(true: Sequence[float]) -> float:
    """Return above which score the wanted share of true sentences is; 0 of none."""
    if not len(true):
        return 0.0
    return float(np.nextafter(np.quantile(true, 1 - KEPT, method="lower"), -np.inf))


def _interval(rows: Sequence[Sequence[tuple[str, float, bool]]]) -> tuple[float, float]:
    """Return a bootstrap interval over pictures (95 %)."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        some = [one for i in rng.integers(len(rows), size=len(rows)) for one in rows[i]]
        value = auroc([s for _, s, t in some if t], [s for _, s, t in some if not t])
        if value is not None:
            drawn.append(value)
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (0.0, 1.0)
    return float(low), float(high)
