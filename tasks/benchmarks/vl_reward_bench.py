"""How often a judge prefers what people prefer, as VL-RewardBench counts it.

Overall and macro accuracy over its official groups, after the specification of UnifiedReward,
section 7.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from models.statistics import known, mean

# lmms-eval, tasks/vl_rewardbench/utils.py: anything but these is "general"
REASONING, HALLUCINATION = ("mathverse", "mmmu"), ("rlhf", "rlaif", "hallucination")
# the official expression, greedy, after `*` and line breaks are gone: the last verdict counts
_OFFICIAL = re.compile(
    r"(?:overall judgment|therefore).*answer\s*(\d+)\s*is\s*(?:the\s+)?(?:slightly\s+)?better",
    re.IGNORECASE,
)


def vl_reward_group(identifier: str) -> str:
    """Return the official group of an item of VL-RewardBench.

    >>> vl_reward_group("hallucination_pair-77"), vl_reward_group("mmmu_pro_val_Art_2")
    ('hallucination', 'reasoning')
    """
    source = identifier.split("-")[0].split("_")[0].lower()
    if source in REASONING:
        return "reasoning"
    return "hallucination" if source in HALLUCINATION else "general"


def vl_reward_accuracy(identifiers: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    """Return overall accuracy, that of each official group with its size, and their mean (macro).

    Groups without an item are left out.
    """
    groups: dict[str, list[bool]] = defaultdict(list)
    for identifier, hit in zip(identifiers, right, strict=True):
        groups[vl_reward_group(identifier)].append(hit)
    by_group = {name: sum(hits) / len(hits) for name, hits in sorted(groups.items())}
    found = known({"overall": mean(right), "macro": mean(by_group.values())})
    for name, accuracy in by_group.items():
        found |= {f"{name}/accuracy": accuracy, f"{name}/n": float(len(groups[name]))}
    return found


def vl_reward_verdict(text: str) -> int | None:
    """Return which answer a text prefers, by the expression that VL-RewardBench reads with.

    For that benchmark alone: it takes "Answer 2 is better than Answer 1 is better" for 1. Where it
    finds nothing the official harness asks a model and then guesses; here it is None.

    >>> vl_reward_verdict("Overall Judgment: Answer 2 is slightly better"), vl_reward_verdict("2")
    (2, None)
    """
    found = _OFFICIAL.search(text.replace("\n", "").replace("*", ""))
    return int(found[1]) if found else None
