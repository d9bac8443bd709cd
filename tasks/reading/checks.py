"""What every sample must hold, whatever it was read from."""

import math
import re
from collections.abc import Callable
from functools import lru_cache

from tasks.boxes import boxes_from
from tasks.images import open_image
from tasks.records import Sample

SPLITS = ("train", "dev", "test")
# Metrics that compare with `answer`. No true boxes is a truth too: there is nothing to find.
ANSWERED = ("exact", "caption", "pair", "point")
# How many responses a judgement is about, the answers it may have, and what any other answer is.
JUDGED = {
    "pair": (2, r"[AB]", "neither A nor B"),
    "point": (1, r"10(\.0+)?|[1-9](\.\d+)?", "no number from 1 to 10"),
}
# A record's name, and what gives its sample or raises `Unusable`.
Record = tuple[str, Callable[[], Sample]]


class Unusable(Exception):
    """A record that is set aside; the message is the reason and groups with its like."""


def unusable(name: str, reason: str) -> Record:
    """Return a record that is known to be set aside before it is opened."""

    def source() -> Sample:
        raise Unusable(reason)

    return name, source


def check(sample: Sample, seen: set[str]) -> None:
    """Check one sample and note its id in `seen`; the first picture's size is filled in.

    Raises:
        Unusable: With the reason to set it aside for.
    """
    if sample.id in seen:
        raise Unusable("duplicate id")
    if not all(map(_is_unicode, (sample.id, sample.prompt, sample.label, sample.final))):
        raise Unusable("text that is not Unicode")
    if not sample.prompt.strip():
        raise Unusable("empty prompt")
    if sample.split not in SPLITS:
        raise Unusable(f"unknown split {sample.split!r} (known: {', '.join(SPLITS)})")
    # pictures to describe need no reference while training: the judge compares answers
    described = sample.metric == "caption" and sample.split == "train"
    if sample.metric in ANSWERED and not sample.answer.strip() and not described:
        raise Unusable("empty answer")
    if sample.metric == "final" and not sample.final.strip():
        raise Unusable("empty final")
    if sample.metric in JUDGED:
        _check_judgement(sample)
    for i, data in enumerate(sample.images):
        size = picture_size(data)
        if i == 0:
            sample.size = size
    _check_boxes(sample)
    seen.add(sample.id)


@lru_cache(maxsize=2)  # many questions about one picture come one after the other
def picture_size(data: bytes) -> tuple[int, int]:
    """Decode a picture and return its width and height.

    Raises:
        Unusable: It cannot be decoded, or is too large to try.
    """
    try:
        return open_image(data).size
    except ValueError as error:
        raise Unusable(
            "picture too large" if "too large" in str(error) else "unreadable picture"
        ) from error


def _is_unicode(text: str) -> bool:
    """Return whether Parquet can hold a text: file names and JSON may have half of a surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_judgement(sample: Sample) -> None:
    metric, question = sample.metric, sample.details.get("question")
    responses = sample.details.get("responses")
    number, answers, other = JUDGED[metric]
    texts = [question, *responses] if isinstance(responses, list) else []
    if len(texts) != 1 + number or not all(isinstance(text, str) for text in texts):
        raise Unusable(f"metric {metric} needs details.question and {number} details.responses")
    if not re.fullmatch(answers, sample.answer):
        raise Unusable(f"{metric} answer is {other}")


def _check_boxes(sample: Sample) -> None:
    if sample.corners and not sample.images:
        raise Unusable("boxes without a picture")
    if sample.metric == "tagged_box" and len(sample.corners) != 1:
        raise Unusable("metric tagged_box needs exactly one box")
    if any(len(row) != 4 for row in sample.corners):
        raise Unusable("box without four numbers")
    if any(not math.isfinite(v) for row in sample.corners for v in row):
        raise Unusable("box with NaN or infinity")
    for box in boxes_from(sample.corners, sample.size):
        if box.x0 >= box.x1 or box.y0 >= box.y1:
            raise Unusable("box without area")
        if not box.valid:
            raise Unusable("box outside the picture")
