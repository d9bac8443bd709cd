"""What the micro-world is made of: its shapes, colours, words, and what is held out of training."""

import random

SIDE = 96  # pixels; with 8-pixel patches merged 2x2 a picture costs 36 tokens

SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
HELD_OUT_SHAPES = ("heart", "ring")  # never drawn in a training picture of the base model
COLORS = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 90, 220),
    "yellow": (240, 200, 30),
    "purple": (150, 60, 180),
    "orange": (245, 130, 30),
    "black": (35, 35, 35),
    "pink": (250, 140, 190),
}
SIZES = ("small", "large")
CELLS = tuple(
    f"{row} {column}".replace("middle center", "center")
    for row in ("top", "middle", "bottom")
    for column in ("left", "center", "right")
)
LABELS = "ABCDEFGH"  # of bars and columns
ITEMS = (
    "tea", "milk", "bread", "rice", "soup", "cake", "egg", "fish", "apple", "juice", "pasta",
    "salad",
)  # fmt: skip
TITLE_SUBJECTS = ("Sales", "Cost", "Stock", "Energy", "Water", "Sport", "City", "Farm")
TITLE_KINDS = ("report", "plan", "summary", "review", "notes", "index")
TRENDS = ("rose", "fell", "held")
MONTHS = ("May", "June", "July")

_COMBINATIONS = [(color, shape) for color in COLORS for shape in SHAPES]
# Sixteen of the 48 combinations never appear in the phrase "Find every <colour> <shape>." while the
# base model is trained: few-shot experiments teach the phrase on the others and test on these.
NOVEL_COMBINATIONS = frozenset(random.Random(7).sample(_COMBINATIONS, 16))
KNOWN_COMBINATIONS = tuple(c for c in _COMBINATIONS if c not in NOVEL_COMBINATIONS)


def plural(word: str) -> str:
    """Return the plural of a shape's name.

    >>> plural("cross"), plural("star")
    ('crosses', 'stars')
    """
    return word + ("es" if word.endswith("s") else "s")
