"""Whether a sentence about objects is true of a picture whose objects are known.

>>> scene = {"tint": "night", "shapes": [{"shape": "star", "color": "red", "cell": "top left"}]}
>>> words = vocabulary([scene])
>>> is_true("There is a red star at the top left", scene, words)
True
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Scene = Mapping[str, Any]  # `tint` and `shapes`, as a sample's details have them
Words = dict[str, list[str]]  # what each fact may be, the longest first


def vocabulary(scenes: Iterable[Scene]) -> Words:
    """Return all tints, and all that an object is said to be."""
    found: dict[str, set[str]] = {"tint": set()}
    for scene in scenes:
        found["tint"].add(scene["tint"])
        for one in scene["shapes"]:
            for name, value in one.items():
                found.setdefault(name, set()).add(value)
    return {name: sorted(values, key=lambda v: (-len(v), v)) for name, values in found.items()}


def said(sentence: str, words: Words) -> dict[str, str]:
    """Return what a sentence says, the first and longest word of each fact.

    >>> said("A star is at the top left", {"shape": ["star"], "cell": ["top left", "left"]})
    {'shape': 'star', 'cell': 'top left'}
    """
    found = {}
    for name, values in words.items():
        if match := re.search(rf"\b(?:{'|'.join(map(re.escape, values))})\b", sentence):
            found[name] = match[0]
    return found


def is_true(sentence: str, scene: Scene, words: Words) -> bool | None:
    """Return whether a sentence is true; None of one that names neither an object nor a tint."""
    facts = said(sentence, words)
    if "shape" not in facts:
        return facts["tint"] == scene["tint"] if "tint" in facts else None
    facts.pop("tint", "")
    return any(all(one[name] == fact for name, fact in facts.items()) for one in scene["shapes"])
