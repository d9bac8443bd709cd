"""Which judges UnifiedReward-Think's experiment trains, from which others, and on what."""

from dataclasses import dataclass
from typing import Literal

from tasks.reproduction.arms import BASE

DIRECT, LONGER, BARE_GRPO = "direct", "direct, as many steps", "direct, GRPO on bare verdicts"
COLD, SAMPLED, RANDOM = "cold start", "rejection sampling", "random pairs, true traces"
THINKER, THINKER_BARE, ORACLE = "thinker", "thinker, asked directly", "true traces for all"
UNSEEN = "true traces for all, scores alone"
TOGETHER, VOTES = "all pairs", 5  # both tasks; sampled traces of a pair, of which most count
CONSISTENT, ALL_WRONG = "thinker, consistency paid", "thinker, wrong pairs alone"


@dataclass(frozen=True)
class Arm:
    """One judge.

    Attributes:
        start: The arm that it goes on from; "" for one that is another one asked otherwise.
        learns: How: on bare verdicts, on traces (of a teacher, its own, or true ones), or by GRPO.
        asked: It is asked for the bare verdict, or for a trace first.
        once: Of the first seed alone; an ablation.
        seen: Traces say before a score what is there.
        consistency: What agreeing scores, sums and verdict pay.
        keep_right: Share of right pairs among those that are reinforced.
    """

    name: str
    start: str
    learns: Literal["", "verdicts", "taught", "own", "random", "true", "grpo", "bare grpo"]
    asked: Literal["bare", "traced"] = "traced"
    once: bool = False
    seen: bool = True
    consistency: float = 0.0
    keep_right: float = 0.15


ARMS = (
    Arm(BASE, "", "", "bare"),
    Arm(DIRECT, BASE, "verdicts", "bare"),
    Arm(LONGER, DIRECT, "verdicts", "bare"),
    Arm(BARE_GRPO, DIRECT, "bare grpo", "bare"),
    Arm(COLD, DIRECT, "taught"),
    Arm(SAMPLED, COLD, "own"),
    Arm(RANDOM, COLD, "random"),
    Arm(THINKER, SAMPLED, "grpo"),
    Arm(THINKER_BARE, THINKER, "", "bare"),
    Arm(ORACLE, DIRECT, "true"),
    Arm(UNSEEN, DIRECT, "true", once=True, seen=False),
    Arm(CONSISTENT, SAMPLED, "grpo", once=True, consistency=0.5),
    Arm(ALL_WRONG, SAMPLED, "grpo", once=True, keep_right=0.0),
)
BY_NAME = {arm.name: arm for arm in ARMS}
PILOT = (BASE, DIRECT, COLD, ORACLE, SAMPLED)  # what the gates are about, in the order of training


def level(arm: Arm) -> int:
    """Return after how many others an arm can be trained.

    >>> level(BY_NAME[THINKER]), level(BY_NAME[DIRECT])
    (4, 1)
    """
    return 1 + level(BY_NAME[arm.start]) if arm.start else 0
