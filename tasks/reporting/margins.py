"""The judge's sheet: how often it is right, by how far apart the answers were."""

from dataclasses import dataclass
from typing import Any

_MARGIN = "pair_accuracy_margin_"
_Z = 1.96  # 95 %


@dataclass(frozen=True)
class Margin:
    """Accuracy on pairs that differ by `faults` mistakes, with its interval."""

    faults: int
    accuracy: float
    n: int
    low: float | None
    high: float | None


def margins(summary: dict[str, Any]) -> list[Margin]:
    """Return the accuracy by margin from the summary of the reward model."""
    found = []
    for name in sorted(name for name in summary if name.startswith(_MARGIN)):
        faults = name.removeprefix(_MARGIN)
        n = int(summary[f"pairs_margin_{faults}"])
        found.append(Margin(int(faults), summary[name], n, *wilson(summary[name], n)))
    return found


def wilson(share: float | None, n: float | None) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a share (Wilson 1927); nothing if n is not known.

    >>> [round(v, 3) for v in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    if not n or share is None:
        return None, None
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * (share * (1 - share) / n + _Z**2 / (4 * n**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
