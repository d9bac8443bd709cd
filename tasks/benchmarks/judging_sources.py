"""What a judge is right about, data set by data set, as each of them counts.

Every pair counts as in the sheet: both orders, and the mean preference. GenAI-Bench and
VideoGen-RewardBench have ties, so tau and diff stand beside accuracy; Multimodal RewardBench is
told by its categories. VL-RewardBench asks in one order, which its length decides: that figure is
added under its official groups (UnifiedReward's specification, section 7).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.statistics import interval, known
from tasks.benchmarks.vl_reward_bench import vl_reward_accuracy
from tasks.judging.calibration import tau_and_diff
from tasks.records.judgements import TIE, A, B

Item = dict[str, Any]  # a row of `tasks.benchmarks.judge_sheet.Sheet.items`
OFFICIAL = "vl_reward_bench"


def by_source(items: Sequence[Item], resamples: int, seed: int) -> dict[str, dict[str, float]]:
    """Return what a judge is right about in each data set, or part of one.

    Returns:
        By source `n`; `accuracy` of pairs with a winner, with its 95 % interval (`low`, `high`);
        `tau` and `diff`; and for VL-RewardBench `official/…` of its own order and groups.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item["source"]].append(item)
    found = {}
    for source, some in groups.items():
        decided = [item for item in some if item["winner"] != TIE]
        hits = np.array([preferred(item) == item["winner"] for item in decided], float)
        sure = interval(hits, resamples, seed)
        row: dict[str, float | None] = {"n": float(len(some))}
        if sure:
            row |= {"accuracy": sure.mean, "low": sure.low, "high": sure.high}
        row |= tau_and_diff(
            [item["winner"] for item in some], [item["said"] or None for item in some]
        )
        if source == OFFICIAL:
            row |= {f"official/{name}": value for name, value in official(some).items()}
        found[source] = known(row)
    return found


def official(items: Sequence[Item]) -> dict[str, float]:
    """Return VL-RewardBench's accuracies, of the one order that it asks in.

    The answers change places iff the sum of their lengths is odd.

    >>> item = {"public_id": "mmmu-1", "responses": ["a", "bc"], "winner": "A"}
    >>> official([item | {"first_order": "A", "other_order": "B"}])["overall"]
    0.0
    """
    said = [
        item["other_order" if sum(map(len, item["responses"])) % 2 else "first_order"]
        for item in items
    ]
    right = [verdict == item["winner"] for verdict, item in zip(said, items, strict=True)]
    return vl_reward_accuracy([item["public_id"] for item in items], right)


def preferred(item: Item) -> str | None:
    """Return the candidate that a judge prefers in both orders together; None if neither."""
    preference = item["preference"]
    if preference is None or preference == 0.5:
        return None
    return A if preference > 0.5 else B
