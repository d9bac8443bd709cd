"""What a judge that thinks learns from: traces to imitate, verdicts that a computer can pay.

After UnifiedReward-Think (arXiv 2505.03318). We differ in two places: both orders of a pair follow
each other, so that they are asked in the same step and always naming the first earns half; and a
share of the pairs is asked for the bare verdict, or that mode is forgotten (specification, 9).
"""

import random
from collections.abc import Sequence

from tasks.asking.conversation import text_of
from tasks.asking.coordinates import Coordinates
from tasks.judging.rejection import KeptTrace
from tasks.judging.thinking import Dimensions, asked_to_think, shortened
from tasks.judging.wording import asked, verdict
from tasks.records.judgements import Judgement
from tasks.records.rows import Sample
from tasks.training.sft import Turn

METRIC = "verdict"
NO_BOXES = Coordinates(100)  # verdicts have none, so that any grid will do


def trace_turns(traces: Sequence[KeptTrace], wanted: Dimensions = ()) -> list[Turn]:
    """Return (prompt, trace, pictures) of every trace, the pair in the order that was shown."""
    return [
        (text_of(asked_to_think(t.shown, wanted)), t.text, shortened(t.shown).media)
        for t in traces
    ]  # fmt: skip


def direct_turns(pairs: Sequence[Judgement], number: int, seed: int) -> list[Turn]:
    """Return (prompt, bare verdict, pictures) of so many pairs, each in an order that is drawn."""
    rng = random.Random(seed)
    chosen = rng.sample(pairs, min(number, len(pairs)))
    shown = [pair.swapped() if rng.random() < 0.5 else pair for pair in chosen]
    return [(text_of(asked(j)), verdict(j), j.media) for j in shown]


def beside(number: int, share: float) -> int:
    """Return how many others make up a share of all, beside a number of ours.

    >>> beside(85, 0.15)
    15
    """
    return round(number * share / (1 - share))


def verdict_samples(
    pairs: Sequence[Judgement], direct_share: float, seed: int, wanted: Dimensions = ()
) -> list[Sample]:
    """Return both orders of every pair as questions, one after the other; pairs in a drawn order.

    Args:
        direct_share: Of the pairs that are asked for the bare verdict, in [0, 1].
    """
    rng = random.Random(seed)
    shuffled = rng.sample(list(pairs), len(pairs))
    bare = set(rng.sample(range(len(pairs)), round(direct_share * len(pairs))))
    return [
        _sample(order, place not in bare, wanted)
        for place, pair in enumerate(shuffled) for order in (pair, pair.swapped())
    ]  # fmt: skip


def _sample(shown: Judgement, thinks: bool, wanted: Dimensions) -> Sample:
    turns = asked_to_think(shown, wanted) if thinks else asked(shown)
    media = shortened(shown).media if thinks else shown.media
    return Sample(
        id=shown.id, task=shown.task, split=shown.split, prompt=text_of(turns), metric=METRIC,
        answer=shown.winner, images=list(media),
        details={"task": shown.task, "thinks": thinks},
    )  # fmt: skip
