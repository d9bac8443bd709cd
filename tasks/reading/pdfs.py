"""Pages of PDF files as pictures.

    for number, page in rendered(data, pixels=602_112, most=1000): ...

A page is drawn with as many pixels as asked for, whatever its size on paper is: a page of a
gigapixel costs no more than another. The parser works in a child of this process, within bounds of
time and memory, as a PDF comes from a stranger: what a flaw of it might do ends there.
"""

import base64
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pypdfium2 as pdfium

from models.vlm.bounded import BeyondBounds, Failed, bounded
from tasks.reading.checks import Unusable
from tasks.reading.files import PICTURE, read_record_file
from tasks.records.images import ASPECT_RATIO
from tasks.records.pages import Page

SECONDS, MEGABYTES = 60, 2048  # for the pages that are drawn at once
AT_ONCE = 8


def pages_of_pdf(
    folder: Path, path: str, pixels: int, most: int, aside: Callable[[str, str], None]
) -> Iterator[Page]:
    """Yield the pages of a file in a folder, `sales.pdf#1` and on.

    Args:
        aside: Is told the name of what cannot be used, a page or the file, and why.
    """
    try:
        data = read_record_file(folder, path, "PDF", PICTURE)
        for number, page in rendered(data, pixels, most):
            if isinstance(page, Unusable):
                aside(f"{path}#{number}", str(page))
            else:
                yield Page(f"{path}#{number}", path, number, page)
    except Unusable as reason:
        aside(path, str(reason))


def rendered(data: bytes, pixels: int, most: int) -> Iterator[tuple[int, bytes | Unusable]]:
    """Yield the number of each page, from 1, and the page as a PNG or why it cannot be drawn.

    Args:
        pixels: Of a page, about.
        most: Pages; a document with more is refused.

    Raises:
        Unusable: The document cannot be opened, has no page, or too many.
    """
    number = _in_child(lambda: _count(data))
    if number == 0:
        raise Unusable("PDF without pages")
    if number > most:
        raise Unusable(f"PDF of more than {most} pages")
    for start in range(0, number, AT_ONCE):
        places = range(start, min(number, start + AT_ONCE))
        try:
            drawn = _in_child(lambda some=places: [_draw(data, i, pixels) for i in some])
        except Unusable:  # one of them ends the child: each alone
            drawn = [_alone(data, i, pixels) for i in places]
        for place, (picture, why) in zip(places, drawn, strict=True):
            yield place + 1, Unusable(why) if why else base64.b64decode(picture)


def _alone(data: bytes, place: int, pixels: int) -> tuple[str, str]:
    try:
        return _in_child(lambda: _draw(data, place, pixels))
    except Unusable as reason:
        return "", str(reason)


def _in_child(work):  # type: ignore[no-untyped-def]
    try:
        return bounded(work, SECONDS, MEGABYTES)
    except BeyondBounds as error:
        raise Unusable("PDF that takes too much time or memory") from error
    except Failed as error:
        locked = "password" in str(error).lower()
        raise Unusable("PDF with a password" if locked else "PDF that cannot be read") from error


def _count(data: bytes) -> int:
    with pdfium.PdfDocument(data) as document:
        return len(document)


def _draw(data: bytes, place: int, pixels: int) -> tuple[str, str]:
    """Return a page as a PNG in base64, or why it cannot be drawn."""
    with pdfium.PdfDocument(data) as document:
        try:
            page = document[place]
            width, height = page.get_size()
        except pdfium.PdfiumError:
            return "", "PDF page that cannot be read"
        if not (width > 0 and height > 0 and math.isfinite(width * height)):
            return "", "PDF page without an area"
        if max(width, height) > ASPECT_RATIO * min(width, height):
            return "", "PDF page that is too narrow"
        image = page.render(scale=math.sqrt(pixels / (width * height))).to_pil().convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode(), ""
