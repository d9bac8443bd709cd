"""What annotation files in JSON have in common: entries with an id, pictures with a size, boxes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

from tasks.reading.checks import Record, Unusable, picture_size, unusable
from tasks.reading.files import ANNOTATIONS, read_json
from tasks.reading.pictures import PictureFolder

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


def open_picture(pictures: PictureFolder, image: Entry, stem: str) -> tuple[bytes, tuple[int, int]]:
    """Return the bytes and the size of the picture that an entry of `images` stands for.

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
    declared = (image.get("width"), image.get("height"))
    if all(declared) and declared != size:
        raise Unusable("picture of another size than its boxes were drawn on")
    return data, size


def image_fault(image: Entry) -> str:
    """Say what is wrong with an entry of `images`, or nothing."""
    if not is_name(image.get("file_name") or image.get("coco_url")):
        return "image without a file name"
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        ids = image.get(key, [])
        if not isinstance(ids, list) or not all(map(is_id, ids)):
            return f"image whose {key} is no list of ids"
    return ""
