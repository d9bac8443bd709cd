"""The arms of ScaleCap's experiment: what is trusted of a draft, and about what is asked back."""

from dataclasses import dataclass
from typing import Literal

MADE, LEARNT = "captions for pictures", "captions to learn from"
CONFIDENCE = "confidence"  # the picture's own log-probability, in place of its contrast
DRAFT, LONGER, PLAIN = "draft", "draft at equal length", "the base describes"
ALL, RATED_ONLY, ASKED_ONLY = "ScaleCap, all objects", "ScaleCap, N = 0", "without rating"
BY_BUDGET = {0: RATED_ONLY, 1: "ScaleCap, N = 1", 2: "ScaleCap, N = 2", 4: "ScaleCap, N = 4",
             8: "ScaleCap, N = 8", -1: ALL}  # fmt: skip
LOOKS, PLACES = "ScaleCap, how objects look", "ScaleCap, where objects are"
RANDOM, RANDOM_UNRATED = "random objects", "random objects, without rating"
TWICE, PUBLISHED = "ScaleCap, answers rated too", "published rating"
LIKELY, NOUNS = "confidence, whole sentences", "confidence, nouns"
AGREED, TRUE, TRUTH = "sample agreement", "true rating", "true captions"


@dataclass(frozen=True)
class Arm:
    """What a caption is written from.

    Attributes:
        kept: Which sentences of the draft: by the chosen contrast, by the published one, by how
            likely they are with the picture alone, by agreement of samples, by the truth, or all.
        asked: About which objects; "" about none.
        budget: Objects at most; -1 for all.
        second: Answers are rated, too.
    """

    name: str
    kept: Literal["all", "contrast", "published", "likely", "nouns", "agreed", "true"] = "contrast"
    asked: Literal["", "named", "random"] = "named"
    budget: int = -1
    kinds: tuple[Literal["look", "place"], ...] = ("look", "place")
    second: bool = False


ARMS = (
    *(Arm(name, budget=budget) for budget, name in BY_BUDGET.items()),
    Arm(ASKED_ONLY, kept="all"),
    Arm(LOOKS, kinds=("look",)),
    Arm(PLACES, kinds=("place",)),
    Arm(TWICE, second=True),
    Arm(RANDOM, asked="random"),
    Arm(RANDOM_UNRATED, kept="all", asked="random"),
    Arm(PUBLISHED, kept="published"),
    Arm(LIKELY, kept="likely"),
    Arm(NOUNS, kept="nouns"),
    Arm(AGREED, kept="agreed", asked=""),
    Arm(TRUE, kept="true"),
)
NAMED = {arm.name: arm for arm in ARMS}
