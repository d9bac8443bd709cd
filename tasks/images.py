"""Pictures as bytes: written small, opened carefully, and cut to what a box shows."""

import contextlib
import io
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from PIL import Image

from tasks.boxes import Box

MAX_PIXELS = 64_000_000  # a larger picture is refused before it is decoded (decompression bombs)
# What is tried, whatever a file is called. Others run programs (EPS: Ghostscript) or are seldom
# used and seldom tested. The picture pairs of phones (MPO) begin as JPEG.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
SECONDS = 10  # a picture of MAX_PIXELS takes one or two
# A JPEG is decoded once for each of its scans, of which others have 10, and no signal comes between
# scans that are a few bytes each: 64 million pixels take 0.17 s a scan.
SCANNED_PIXELS = 40 * MAX_PIXELS


class BadPicture(ValueError):
    """A picture that is not opened.

    Attributes:
        reason: Why, in words that are the same for all its like.
    """

    def __init__(self, reason: str, details: str = ""):
        self.reason, self.details = reason, details
        super().__init__(reason, details)  # so that it can travel between processes

    def __str__(self) -> str:
        return f"{self.reason} ({self.details})" if self.details else self.reason


class _OutOfTime(BaseException):
    """The time is up; no Exception, as decoders overlook those."""


def to_png(image: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def open_image(data: bytes) -> Image.Image:
    """Decode a picture to RGB.

    Raises:
        BadPicture: The bytes are no picture of `FORMATS`, a broken one, one of more than
            `MAX_PIXELS`, or one that takes more than `SECONDS` (in a main thread).
    """
    try:
        with _at_most(SECONDS):
            return _decoded(data)
    except BadPicture:
        raise
    except _OutOfTime as error:
        raise BadPicture("picture takes too long to decode", f"over {SECONDS} s") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise BadPicture("picture too large", str(error)) from error
    except Exception as error:  # damage makes decoders raise anything: struct.error, KeyError, ...
        text = "MAX_TEXT" in str(error)  # Pillow's limits for PNG, which have no class of their own
        reason = "picture with too much text beside its pixels" if text else "unreadable picture"
        raise BadPicture(reason, f"{type(error).__name__}: {error}"[:200]) from error


def _decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise BadPicture("picture too large", f"{image.width} x {image.height} pixels")
    if image.width * image.height == 0:
        raise BadPicture("unreadable picture", "it has no pixels")
    scans = data.count(b"\xff\xda") if image.format in ("JPEG", "MPO") else 1
    if scans * image.width * image.height > SCANNED_PIXELS:
        raise BadPicture("picture takes too long to decode", f"{scans} scans")
    return image.convert("RGB")


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise `_OutOfTime` in what takes longer, where a signal can: in the main thread.

    Another timer (pytest-timeout's) goes on; where it rings first, it is left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    if 0 < left <= seconds:
        yield
        return

    running = False

    def stop(number: int, frame: FrameType | None) -> None:
        if running:
            raise _OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    start = time.monotonic()
    try:
        running = True
        # again each second, as the first may come while an object is deleted, which loses it
        signal.setitimer(signal.ITIMER_REAL, seconds, 1)
        yield
    finally:
        running = False  # first: from here on a signal must not keep the rest from being done
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            rest = max(0.001, left - (time.monotonic() - start))
            signal.setitimer(signal.ITIMER_REAL, rest, interval)


def crop(image: Image.Image, box: Box, margin: float = 0.25) -> Image.Image:
    """Cut `box` out of `image` with a margin and lay it in the middle of an empty page.

    The page has the size of the picture and the colour of its upper left corner, and the cut-out
    keeps its scale, so that a model reads it with the skill that it reads whole pictures with.
    """
    box = box.to(image.size).grown(margin)
    right, bottom = min(image.width, round(box.x1) + 1), min(image.height, round(box.y1) + 1)
    cut = image.crop((int(box.x0), int(box.y0), right, bottom))
    page = Image.new("RGB", image.size, image.getpixel((0, 0)))
    page.paste(cut, ((image.width - cut.width) // 2, (image.height - cut.height) // 2))
    return page
