"""Pictures for the page: embedded as data, with boxes as SVG in the pixels of the picture."""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from tasks.asking.answers import first_box
from tasks.records.boxes import Box
from tasks.records.images import open_image, to_png

SMALL = 256  # up to here pixels are drawn as sharp squares; larger pictures are shown smooth
SHOWN = 200  # how wide a picture is shown at most, in CSS pixels
LARGEST = 480  # the longer side of an embedded photograph: sixty of them stay below 20 MB
_BRACKETS = re.compile(r"\[[^\[\]]*\]")


@dataclass(frozen=True)
class Picture:
    """An embedded picture.

    Attributes:
        source: A data URL.
        width, height: Pixels of the original, which the boxes over it refer to.
        shown: Width on the page in CSS pixels; a whole multiple of a small picture's own width.
        crisp: True if pixels are to be shown as squares.
    """

    source: str
    width: int
    height: int
    shown: int
    crisp: bool


@dataclass(frozen=True)
class Rectangle:
    """A box to draw, in pixels of the picture; `kind` is its CSS class."""

    x: float
    y: float
    width: float
    height: float
    kind: str


def embed(data: bytes) -> Picture | None:
    """Embed an encoded picture; None if it cannot be read."""
    try:
        image = open_image(data)
    except ValueError:
        return None
    width, height = image.size
    crisp = max(width, height) <= SMALL
    if crisp:
        source = _data_url("png", to_png(image))
    else:
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=85)
        source = _data_url("jpeg", buffer.getvalue())
    shown = max(1, SHOWN // width) * width if crisp else SHOWN
    return Picture(source, width, height, min(shown, SMALL), crisp)


def embed_all(images: Sequence[dict] | None) -> list[Picture | None]:
    """Embed the pictures of a shard row (`{"bytes": ...}` each); None where one is unreadable."""
    return [embed(image["bytes"] or b"") for image in images or []]


def rectangles(boxes: Iterable[Box], picture: Picture | None, kind: str) -> list[Rectangle]:
    """Convert boxes of any frame to rectangles in the pixels of a picture."""
    if picture is None:
        return []
    drawn = []
    for box in boxes:
        b = box.to((picture.width, picture.height))
        if b.x0 < b.x1 and b.y0 < b.y1:  # browsers refuse a rectangle of negative size
            corner, size = (b.x0, b.y0), (b.x1 - b.x0, b.y1 - b.y0)
            drawn.append(Rectangle(*(round(v, 2) for v in (*corner, *size)), kind))
    return drawn


def boxes_in(text: str, frame: tuple[float, float]) -> list[Box]:
    """Return every valid `[x0, y0, x1, y1]` of a text, in order and each once.

    >>> [box.corners() for box in boxes_in("a [1, 2, 3, 4] and [5, 5, 1, 1]", (100, 100))]
    [[1, 2, 3, 4]]
    """
    found = (first_box(match[0], frame) for match in _BRACKETS.finditer(text))
    return list(dict.fromkeys(box for box in found if box))


def _data_url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
