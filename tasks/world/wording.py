"""What a question is, and how boxes and shapes are put into words."""

import json
from dataclasses import dataclass, field

from tasks.records.boxes import Box
from tasks.world.pictures import Shape

FRAME = (100, 100)  # the frame in which the tiny model reads and writes coordinates


@dataclass(slots=True)
class Question:
    """One question with its answer.

    Attributes:
        task: The kind of question, by which scores are reported.
        boxes: True boxes the answer must contain, in pixels.
        final: The value inside the answer tags, for answers that reason first.
        details: What else a scorer needs to know.
    """

    task: str
    prompt: str
    answer: str
    boxes: list[Box] = field(default_factory=list)
    label: str = ""
    final: str = ""
    details: dict = field(default_factory=dict)


def corners(box: Box) -> str:
    """Write a box as the model does: four integers of 0..99.

    >>> corners(Box(0, 24, 48, 96, frame=(96, 96)))
    '[0, 25, 50, 99]'
    """
    return "[" + ", ".join(str(min(99, max(0, v))) for v in box.to(FRAME).corners()) + "]"


def detections(boxes: list[Box], label: str | list[str], confidences: list[float] | None = None):
    """Write boxes as the JSON list that detection answers contain."""
    labels = [label] * len(boxes) if isinstance(label, str) else label
    sure = confidences or [0.9] * len(boxes)
    return json.dumps(
        [
            {"bbox_2d": json.loads(corners(box)), "label": name, "confidence": confidence}
            for box, name, confidence in zip(boxes, labels, sure, strict=True)
        ]
    )


def sentence(item: Shape, color: bool = True, size: bool = True, place: bool = True) -> str:
    """Describe one shape, as in "a small red circle at the top left"."""
    words = ["a", item.size if size else "", item.color if color else "", item.shape]
    if place:
        words.append(at(item.cell))
    return " ".join(word for word in words if word)


def at(cell: str) -> str:
    """Say where something is.

    >>> at("center"), at("top left")
    ('in the center', 'at the top left')
    """
    return ("in the " if cell == "center" else "at the ") + cell


def caption(shapes: list[Shape], **parts: bool) -> str:
    """Describe all shapes left to right, one sentence each."""
    return " ".join(capitalized(sentence(item, **parts)) + "." for item in shapes)


def capitalized(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[0].upper() + text[1:]
