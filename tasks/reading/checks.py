"""What every sample must hold, whatever it was read from."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tasks.questions import KINDS, kind_of
from tasks.reading.splits import key_of
from tasks.records.boxes import boxes_from
from tasks.records.images import ASPECT_RATIO, PIXELS_IN_ALL, BadPicture, kept
from tasks.records.rows import PROSE, Sample
from tasks.running.texts import is_unicode

SPLITS = ("train", "dev", "test")
BYTES_IN_ALL = 256 * 2**20
PICTURES_IN_ALL = 1000
TEXT = 10_000  # characters of an id or a name of a task, which are kept while a data set is read
DEPTH = 100  # of details; Python's JSON gives up at some thousand, less where more is under way
# A record's name, and what gives its sample or raises `Unusable`.
Record = tuple[str, Callable[[], Sample]]


class Unusable(Exception):
    """A record that is set aside; the message is the reason and groups with its like."""


def unusable(name: str, reason: str) -> Record:
    """Return a record that is known to be set aside before it is opened."""

    def source() -> Sample:
        raise Unusable(reason)

    return name, source


@dataclass
class Seen:
    """What the samples of a data set so far are, so that the next do not contradict them.

    Attributes:
        splits: The first split of pictures, by their key.
        truths: Of questions about pictures, with their split; sums of 8 bytes, as there may be
            millions.
        crossing: How many samples show pictures of another split.
    """

    ids: set[str] = field(default_factory=set)
    splits: dict[str, str] = field(default_factory=dict)
    truths: dict[int, tuple[int, str]] = field(default_factory=dict)
    crossing: int = 0


def check(sample: Sample, seen: Seen) -> str:
    """Check one sample and note it in `seen`.

    The first picture's size is filled in, and pictures that not all would see alike are replaced.

    Returns:
        The key of its pictures (`tasks.reading.splits.key_of`).

    Raises:
        Unusable: With the reason to set it aside for.
    """
    if sample.id in seen.ids:
        raise Unusable("duplicate id")
    texts = (sample.id, sample.task, sample.prompt, sample.answer, sample.label, sample.final)
    if max(map(len, texts)) > PROSE:
        raise Unusable(f"text of more than {PROSE} characters")
    if not all(map(is_unicode, texts)):
        raise Unusable("text that is not Unicode")
    if max(len(sample.id), len(sample.task)) > TEXT:
        raise Unusable(f"id or task of more than {TEXT} characters")
    if _is_deep(sample.details, DEPTH):
        raise Unusable(f"details more than {DEPTH} levels deep")
    if not _fits_json(sample.details):
        raise Unusable("details that JSON cannot hold")
    if not sample.prompt.strip():
        raise Unusable("empty prompt")
    if sample.split not in SPLITS:
        raise Unusable(f"unknown split {sample.split[:40]!r} (known: {', '.join(SPLITS)})")
    if sample.metric not in KINDS:
        raise Unusable(f"unknown metric {sample.metric[:40]!r} (known: {', '.join(KINDS)})")
    if wrong := kind_of(sample).check(sample):
        raise Unusable(wrong)
    key = key_of(sample.images, otherwise=sample.prompt)
    _check_pictures(sample)
    _check_boxes(sample)
    _check_alike(sample, key, seen)
    seen.ids.add(sample.id)
    return key


def picture_size(data: bytes) -> tuple[int, int]:
    """Decode a picture and return its width and height when it is upright.

    Raises:
        Unusable: It cannot be decoded, is too large to try, or cannot be shown to a model.
    """
    return _picture(data)[1]


def _picture(data: bytes) -> tuple[bytes, tuple[int, int]]:
    shown, size, reason = _looked_at(data)
    if reason:
        raise Unusable(reason)
    return shown, size


@lru_cache(maxsize=2)  # many questions about one picture, or a broken one, come after each other
def _looked_at(data: bytes) -> tuple[bytes, tuple[int, int], str]:
    try:
        shown, size = kept(data)
    except BadPicture as error:
        return b"", (0, 0), error.reason
    if max(size) > ASPECT_RATIO * min(size):
        return b"", size, "picture is too long and narrow"
    return shown, size, ""


def gathered(pictures: Iterable[bytes]) -> list[bytes]:
    """Take the pictures of one record, as long as there are not too many.

    Raises:
        Unusable: There are.
    """
    taken, size = [], 0
    for data in pictures:
        taken.append(data)
        size += len(data)
        if len(taken) > PICTURES_IN_ALL:
            raise Unusable(f"more than {PICTURES_IN_ALL} pictures")
        if size > BYTES_IN_ALL:
            raise Unusable("pictures too large together" if len(taken) > 1 else "picture too large")
    return taken


def _check_pictures(sample: Sample) -> None:
    pixels = 0
    for i, data in enumerate(gathered(sample.images)):
        sample.images[i], (width, height) = _picture(data)
        pixels += width * height
        if pixels > PIXELS_IN_ALL:
            raise Unusable("pictures too large together")
        if i == 0:
            sample.size = (width, height)


def _check_alike(sample: Sample, key: str, seen: Seen) -> None:
    """Check that no other split contradicts what is said about the pictures of a sample.

    All of them together count, as one picture may be shown beside many others. Of some kinds no
    record of the same split may, either (`Kind.same_question`): the first of them is kept.
    """
    if not sample.images:
        return
    kind = kind_of(sample)
    if (told := kind.truth(sample)) is not None:
        same = kind.same_question(sample)
        question, truth = _sum(sample.metric, same or (key, sample.prompt)), _sum(told)
        known, split = seen.truths.setdefault(question, (truth, sample.split))
        if known != truth and split != sample.split:
            raise Unusable(f"another truth than the same picture has in the {split} split")
        if known != truth and same:
            raise Unusable("another verdict than the same candidates have before")
    seen.crossing += seen.splits.setdefault(key, sample.split) != sample.split


def _sum(*values: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(values).encode()).digest()[:8])


def _is_deep(value: Any, depth: int) -> bool:
    below = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple):
        return False
    return not depth or any(_is_deep(part, depth - 1) for part in below)


def _fits_json(details: dict[str, Any]) -> bool:
    try:
        json.dumps(details)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _check_boxes(sample: Sample) -> None:
    if sample.corners and not sample.images:
        raise Unusable("boxes without a picture")
    if any(len(row) != 4 for row in sample.corners):
        raise Unusable("box without four numbers")
    if any(not math.isfinite(v) for row in sample.corners for v in row):
        raise Unusable("box with NaN or infinity")
    if sample.corners and all(-1 <= v <= 1 for row in sample.corners for v in row):
        raise Unusable("boxes within one pixel, as shares of a picture are; pixels are needed")
    for box in boxes_from(sample.corners, sample.size):
        if box.x0 >= box.x1 or box.y0 >= box.y1:
            raise Unusable("box without area")
        if not box.valid:
            raise Unusable("box outside the picture")
