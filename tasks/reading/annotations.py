"""What annotation files in JSON have in common: entries with an id, pictures with a size, boxes."""

import math
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from tasks.reading.checks import Record, Unusable, picture_size, unusable
from tasks.reading.files import ANNOTATIONS, read_json
from tasks.reading.pictures import PictureFolder
from tasks.records.images import stored, turned_corners

Entry = dict[str, Any]
Id = int | str
ROUNDING = 1.0  # pixels; boxes drawn up to the border stick out by this much, and are clipped


def load(folder: Path, file: Path) -> Any:
    """Parse an annotation file.

    Raises:
        UserError: It may not be opened or is no JSON.
    """
    return read_json(folder, file, ANNOTATIONS, object_hook=_without_outlines)


def _without_outlines(entry: Entry) -> Entry:
    entry.pop("segmentation", None)  # five sixths of COCO's files, and no reader needs them
    return entry


def by_id(
    entries: list[Any], kind: str, stem: str, fault: Callable[[Entry], str]
) -> tuple[dict[Id, Entry], set[Id], list[Record]]:
    """Index the entries of a file by their id.

    Args:
        fault: Says what is wrong with an entry, or nothing.

    Returns:
        The entries, the ids that several different entries claim, and what is set aside.
    """
    known: dict[Id, Entry] = {}
    claimed: set[Id] = set()
    set_aside: list[Record] = []
    for number, entry in enumerate(entries):
        name = f"{stem}:{kind}[{number}]"
        if not isinstance(entry, dict):
            set_aside.append(unusable(name, f"{kind} is not a JSON object"))
        elif not is_id(entry.get("id")):
            set_aside.append(unusable(name, f"{kind} without an id"))
        elif reason := fault(entry):
            set_aside.append(unusable(f"{stem}:{kind}:{entry['id']}", reason))
        elif entry["id"] in known:
            set_aside.append(unusable(f"{stem}:{kind}:{entry['id']}", f"duplicate {kind} id"))
            if _differ(entry, known[entry["id"]]):
                claimed.add(entry["id"])
        else:
            known[entry["id"]] = entry
    return known, claimed, set_aside


def _differ(one: Entry, other: Entry) -> bool:
    try:
        return one != other
    except RecursionError:  # deeper than Python compares
        return True


def is_id(value: Any) -> TypeGuard[Id]:
    """Return whether a value can be an id: an integer or a text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def meant(value: Any, known: Container[Id]) -> Id | None:
    """Return the known id that a value stands for, if there is one.

    VIA writes the ids of pictures as numbers, and those in its annotations as texts.

    >>> meant("7", {7}), meant("7", {7, "7"}), meant("07", {7})
    (7, '7', None)
    """
    if not is_id(value) or value in known:
        return value if is_id(value) else None
    other = str(value) if isinstance(value, int) else whole_number(value)
    return other if other is not None and other in known else None


def whole_number(value: Any) -> int | None:
    """Return a whole number, which may be written as a text; nothing for anything else.

    >>> whole_number("64"), whole_number(64.0), whole_number("64 px"), whole_number(True)
    (64, 64, None, None)
    """
    if isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,17}", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_crowd(annotation: Entry) -> bool:
    """Return whether an annotation stands for a crowd.

    Raises:
        Unusable: It does not say so with 0 or 1.
    """
    said = annotation.get("iscrowd")
    if said is None or isinstance(said, bool):
        return bool(said)
    if whole_number(said) not in (0, 1):
        raise Unusable("iscrowd is neither 0 nor 1")
    return whole_number(said) == 1


def is_name(value: Any) -> bool:
    """Return whether a value is a text with something in it."""
    return isinstance(value, str) and bool(value.strip())


def corners_of(bbox: Any) -> list[float]:
    """Turn x, y, width and height into two corners.

    Raises:
        Unusable: It is no box.

    >>> corners_of([10, 20, 5, 5])
    [10, 20, 15, 25]
    """
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise Unusable("box without four numbers")
    if not all(map(_is_finite, bbox)):
        raise Unusable("box with NaN or infinity")
    x, y, width, height = bbox
    if width < 0 or height < 0:
        raise Unusable("box of negative size")
    if width == 0 or height == 0:
        raise Unusable("box without area")
    return [x, y, x + width, y + height]


def corners_around(points: Any) -> list[float]:
    """Return the corners of the box around the points of a polygon.

    Raises:
        Unusable: It is no polygon.
    """
    if not isinstance(points, list) or not points:
        raise Unusable("polygon without points")
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_number, point)):
            raise Unusable("polygon with a point that is not two numbers")
        if not all(map(_is_finite, point)):
            raise Unusable("polygon with NaN or infinity")
    xs, ys = zip(*points, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON may hold integers that no float can
        return False


def within(corners: list[float], size: tuple[int, int]) -> list[float]:
    """Clip what sticks out of the picture by rounding.

    Raises:
        Unusable: More than that sticks out.
    """
    limits = (*size, *size)
    if any(
        not -ROUNDING <= v <= limit + ROUNDING for v, limit in zip(corners, limits, strict=True)
    ):
        raise Unusable("box outside the picture")
    return [min(max(v, 0), limit) for v, limit in zip(corners, limits, strict=True)]


@dataclass(frozen=True)
class Picture:
    """A picture that boxes were drawn on.

    Attributes:
        size: Width and height upright.
        stored: Width and height as the boxes see them.
        orientation: How the boxes have to be turned (EXIF).
    """

    data: bytes
    size: tuple[int, int]
    stored: tuple[int, int]
    orientation: int

    def box(self, corners: list[float]) -> list[float]:
        """Return a box in the upright picture.

        Raises:
            Unusable: It sticks out.
        """
        return within(turned_corners(corners, self.stored, self.orientation), self.size)


def open_picture(pictures: PictureFolder, image: Entry, stem: str) -> Picture:
    """Return the picture that an entry of `images` stands for.

    COCO names the file; LVIS gives its address, whose last folder COCO's pictures are unpacked to.

    Raises:
        Unusable: There is no such picture, or its boxes were drawn on one of another size.
    """
    if image.get("file_name"):
        # instances_train2017.json is about train2017/, and others keep images/train/
        about = stem.rsplit("_", 1)[-1]
        places = (about, f"images/{about}", f"{about}/images", "images")
        data = pictures.read(image["file_name"], *places)
    else:
        folder, _, name = image["coco_url"].rpartition("/")
        data = pictures.read(name, folder.rpartition("/")[2])
    size = picture_size(data)
    if not image.get("width") or not image.get("height"):
        return Picture(data, size, size, 1)
    declared = whole_number(image["width"]), whole_number(image["height"])
    if None in declared:
        raise Unusable("size of a picture that is no whole number")
    if declared == size:
        return Picture(data, size, size, 1)
    # a turned photograph, annotated by a program that did not turn it
    unturned, orientation = stored(data)
    if declared != unturned or orientation < 5:
        raise Unusable("picture of another size than its boxes were drawn on")
    return Picture(data, size, unturned, orientation)


def image_fault(image: Entry) -> str:
    """Say what is wrong with an entry of `images`, or nothing."""
    if not is_name(image.get("file_name") or image.get("coco_url")):
        return "image without a file name"
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        ids = image.get(key, [])
        if not isinstance(ids, list) or not all(map(is_id, ids)):
            return f"image whose {key} is no list of ids"
    return ""
