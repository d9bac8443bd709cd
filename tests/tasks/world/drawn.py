"""Drawn questions and how their words are read back, for the tests of their truth."""

import json
import random
import re
from functools import cache
from itertools import combinations

from tasks.records.boxes import Box
from tasks.world import drawing
from tasks.world.pictures import PIXELS, Picture, Shape
from tasks.world.wording import FRAME, Question

DOCUMENTS = ("chart", "table", "receipt", "report")


@cache
def drawn(*kinds: str) -> list[Picture]:
    """Draw pictures of the given kinds: 400 scenes, 120 of each document, 70 clips."""
    numbers = {"scene": 400, "clip": 70}
    return [
        drawing.KINDS[kind](random.Random(f"{kind} {i}"))
        for kind in kinds
        for i in range(numbers.get(kind, 120))
    ]


def asked(maker, *kinds: str) -> list[tuple[Picture, Question]]:
    """Ask every picture once (scenes by default), except those that do not allow the question."""
    rng = random.Random(0)
    pairs = [(picture, maker(rng, picture)) for picture in drawn(*kinds or ("scene",))]
    answered = [(picture, question) for picture, question in pairs if question]
    assert len(answered) > 60
    return answered


def words(pattern: str, text: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    assert found, f"{text!r} does not have the form {pattern!r}"
    return found.groups()


def shown(text: str) -> Box:
    """Read four numbers that the model writes as a box in pixels."""
    return Box(*json.loads(text), frame=FRAME).to(PIXELS)


def matches(item: Shape, description: str) -> bool:
    """Tell if a noun phrase such as "small objects" or "red circles" fits a shape."""
    *adjectives, noun = description.split()
    fits = noun in ("objects", item.shape, f"{item.shape}s", f"{item.shape}es")
    return fits and all(word in (item.size, item.color) for word in adjectives)


def told(text: str) -> list[tuple[str, ...]]:
    """Read a caption: (size, colour, shape, place) of each sentence."""
    sentence = r"A (small|large) (\w+) (\w+) (?:at|in) the ([a-z ]+)\."
    found = re.findall(sentence, text)
    assert re.fullmatch(f"({sentence} ?)+", text), text
    return found


def truth(scene: Picture) -> list[tuple[str, ...]]:
    return [(s.size, s.color, s.shape, s.cell) for s in scene.shapes]


def faults(real: list[tuple[str, ...]], said: list[tuple[str, ...]]) -> int:
    """Count wrong attributes as one and missing shapes as two, in the kindest reading."""
    return min(
        2 * (len(real) - len(said))
        + sum(a != b for r, s in zip(kept, said, strict=True) for a, b in zip(r, s, strict=True))
        for kept in combinations(real, len(said))
    )


# ---- boxes as text ---------------------------------------------------------------------------
