"""What can be right or wrong about a scene or a clip, and how much of it something else has wrong.

>>> shown = [("red", "star", "top left"), ("blue", "cross", "center")]
>>> said = [("blue", "cross", "top left"), ("red", "star", "center")]
>>> facts_wrong(said, shown), matching(said, shown)
(2, (1, 0))

A thing is a tuple of facts: colour, shape and place in a scene; colour, shape, motion and light in
a clip. Things are matched so that as few facts as possible are wrong: it is the two places above
that are exchanged, and not two colours and two shapes.
"""

import random
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from tasks.world.lexicon import CELLS, COLORS, SHAPES

Thing = tuple[str, ...]
STILL = "still"
MOTIONS = ("left", "right", "up", "down", STILL)
STEADY, FLICKERS = "steady", "flickers"
# the values of each fact, by the kind of picture
VALUES: dict[str, tuple[tuple[str, ...], ...]] = {
    "scene": (tuple(COLORS), SHAPES, CELLS),
    "clip": (tuple(COLORS), SHAPES, MOTIONS, (STEADY, FLICKERS)),
}
# what a caption can say: nobody writes that a clip does not flicker
PARTS = {"scene": ("color", "shape", "place"), "clip": ("color", "shape", "motion")}
_NEVER = 100  # costs more than all facts together


def facts_wrong(said: Sequence[Thing], shown: Sequence[Thing]) -> int:
    """Return how many facts do not match, when each thing is matched with its best one."""
    costs = _costs(said, shown)
    return int(costs[linear_sum_assignment(costs)].sum())


def matching(said: Sequence[Thing], shown: Sequence[Thing]) -> tuple[int, ...] | None:
    """Return for each thing said which one of those shown it is; None where two ways are as good.

    Then nobody could say which of the facts are wrong.
    """
    costs = _costs(said, shown)
    _, partners = linear_sum_assignment(costs)
    best = facts_wrong(said, shown)
    for place, partner in enumerate(partners):
        without = costs.copy()
        without[place, partner] = _NEVER
        if without[linear_sum_assignment(without)].sum() == best:
            return None
    return tuple(map(int, partners))


def sayable(things: Sequence[Thing]) -> list[Thing]:
    """Return the facts that words tell."""
    return [thing[: len(PARTS["clip"])] for thing in things]


def _costs(said: Sequence[Thing], shown: Sequence[Thing]) -> np.ndarray:
    return np.array(
        [[sum(a != b for a, b in zip(x, y, strict=True)) for y in shown] for x in said]
    )  # [said, shown]


def spoiled(
    rng: random.Random, things: Sequence[Thing], faults: int, values: Sequence[Sequence[str]]
) -> list[Thing] | None:
    """Return the things with so many facts wrong; None where it came out otherwise.

    A changed fact may make two things alike, or put two of them in one place.

    Args:
        values: Of each fact, as in `VALUES`; none of one that is not to be changed.
    """
    changed = [list(thing) for thing in things]
    slots = [(i, part) for i in range(len(things)) for part, of in enumerate(values) if of]
    for i, part in rng.sample(slots, faults):
        changed[i][part] = rng.choice([v for v in values[part] if v != changed[i][part]])
    spoilt = [tuple(thing) for thing in changed]
    if matching(spoilt, things) is None or facts_wrong(spoilt, things) != faults:
        return None
    return spoilt
