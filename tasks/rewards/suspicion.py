"""Signs that a policy earns its reward by a trick; counted beside the rewards and never paid.

Each sign has been seen in published training runs (specification of Visual-RFT, section 8), or is
what a loophole in a reward would look like.
"""

from collections.abc import Sequence
from itertools import combinations

from tasks.asking.answers import Detection, Malformed, read_answer
from tasks.records.boxes import Box, iou

WHOLE = 0.9  # of the picture's area: a box that finds everything
SAME = 0.9  # overlap of two predicted boxes that are one box, changed a little to count twice
COMPARED = 50  # boxes of an answer that are compared with each other

SIGNS = {
    "whole_picture": "a box around nearly the whole picture",
    "repeated_box": "two predicted boxes that are nearly the same",
    "one_of_many": "one box where several objects are to be found",
    "too_many": "more than twice as many boxes as objects, and at least three more",
    "nothing": "no object claimed where there is one",
    "several_classes": "more than one class named in the answer",
}


def detection_signs(predicted: list[Detection], true: Sequence[Box]) -> list[str]:
    """Return the names of the signs that a list of boxes shows; see `SIGNS`."""
    found = [one.box for one in predicted]
    shown = {
        "whole_picture": any(_whole(box) for box in found) and not any(_whole(b) for b in true),
        "repeated_box": any(iou(a, b) > SAME for a, b in combinations(found[:COMPARED], 2)),
        "one_of_many": len(found) == 1 < len(true),
        "too_many": len(found) > 2 * len(true) and len(found) >= len(true) + 3,
        "nothing": not found and bool(true),
    }
    return [name for name, seen in shown.items() if seen]


def pointing_signs(box: Box) -> list[str]:
    """Return whether one box is the whole picture."""
    return ["whole_picture"] if _whole(box) else []


def class_signs(text: str, classes: Sequence[str]) -> list[str]:
    """Return whether an answer names several of the known classes."""
    try:
        named = _named(read_answer(text), classes)
    except Malformed:
        return []
    return ["several_classes"] if len(named) > 1 else []


def _whole(box: Box) -> bool:
    return box.area >= WHOLE * box.frame[0] * box.frame[1]


def _named(answer: str, classes: Sequence[str]) -> set[str]:
    """Return the classes that a text names; a class inside a longer named one does not count."""
    text = answer.lower()
    named = {name for name in classes if name and name.lower() in text}
    return {n for n in named if not any(n != m and n.lower() in m.lower() for m in named)}
