"""Pictures as bytes: written small, opened carefully, and cut to what a box shows.

Everybody must see one and the same picture: training, which opens pictures through `datasets` and
transformers, and all others, who come here. They differ about pictures that are turned by their
EXIF data, transparent, or deeper than 8 bits, so `kept` writes those anew, once, when a data set is
read. All other pictures keep their bytes.
"""

import contextlib
import io
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import numpy as np
from PIL import Image, features

from tasks.records.boxes import Box

MAX_PIXELS = 64_000_000  # a larger picture is refused before it is decoded (decompression bombs)
# A record may ask about many pictures, and one process must hold them all, four bytes a pixel.
PIXELS_IN_ALL = 4 * MAX_PIXELS
ASPECT_RATIO = 200  # the longest and narrowest picture that Qwen's processor takes
# What is tried, whatever a file is called. Others run programs (EPS: Ghostscript) or are seldom
# used and seldom tested. The picture pairs of phones (MPO) begin as JPEG.
FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
FORMATS += ("AVIF",) if features.check("avif") else ()  # as Pillow was built
ZOOMED, SMALLEST = 448, 56  # pixels: a word fills several patches of 28, and no side is below two
SECONDS = 10  # a picture of MAX_PIXELS takes one or two
# A JPEG is decoded once for each of its scans, of which others have 10, and no signal comes between
# scans that are a few bytes each: 64 million pixels take 0.17 s a scan.
SCANNED_PIXELS = 40 * MAX_PIXELS
# What a tool returns was made by a program that nobody has read: two formats, and smaller.
TOOLS_FORMATS, TOOLS_PIXELS, TOOLS_BYTES = ("PNG", "JPEG"), 16_000_000, 16_000_000


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


def to_png(image: Image.Image, effort: int = 6) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=effort)
    return buffer.getvalue()


def open_image(data: bytes) -> Image.Image:
    """Decode a picture to RGB, upright, what is transparent in white.

    Raises:
        BadPicture: The bytes are no picture of `FORMATS`, a broken one, one of more than
            `MAX_PIXELS`, one whose numbers have no known range, or one that takes more than
            `SECONDS` (in a main thread).
    """
    return _opened(data)[0]


def check_from_tool(data: bytes) -> None:
    """Refuse, before it is decoded, what a tool should not return as a picture; then decode it.

    Raises:
        BadPicture: It is neither PNG nor JPEG whatever it is called, too large, several pictures
            in one, or one that `open_image` does not open.
    """
    if len(data) > TOOLS_BYTES:
        raise BadPicture("picture too large", f"{len(data)} bytes")
    try:
        with Image.open(io.BytesIO(data), formats=TOOLS_FORMATS) as image:
            size, frames = image.size, getattr(image, "n_frames", 1)
    except Image.DecompressionBombError as error:
        raise BadPicture("picture too large", str(error)) from error
    except Exception as error:  # see `_opened`
        raise BadPicture("neither a PNG nor a JPEG picture", type(error).__name__) from error
    if size[0] * size[1] > TOOLS_PIXELS:
        raise BadPicture("picture too large", f"{size[0]} x {size[1]} pixels")
    if frames > 1:
        raise BadPicture("several pictures in one", f"{frames} frames")
    open_image(data)


def kept(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """Return what stands for a picture in our records, and its size upright.

    That are the same bytes where every reader sees in them what `open_image` does; or else a PNG.

    Raises:
        BadPicture: See `open_image`.
    """
    image, plain = _opened(data)
    # the least effort: a photograph of 12 million pixels takes 0.7 s instead of 3
    return data if plain else to_png(image, effort=1), image.size


def stored(data: bytes) -> tuple[tuple[int, int], int]:
    """Return the size of a readable picture before it is turned, and its EXIF orientation."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        orientation = image.getexif().get(ORIENTATION)
        return image.size, orientation if orientation in TURNS else 1


def turned_corners(corners: list[float], size: tuple[int, int], orientation: int) -> list[float]:
    """Turn a box with its picture, of which `size` is stored; 1 to 8 is what EXIF calls it.

    >>> turned_corners([1, 2, 3, 4], (96, 64), 6)
    [60, 1, 62, 3]
    """
    (x0, y0, x1, y1), (width, height) = corners, size
    if orientation in (2, 3, 6, 7):  # what ends at the right begins at the left, ...
        if orientation in (2, 3):
            x0, x1 = width - x1, width - x0
        else:
            y0, y1 = height - y1, height - y0
    if orientation in (3, 4, 7, 8):
        if orientation in (3, 4):
            y0, y1 = height - y1, height - y0
        else:
            x0, x1 = width - x1, width - x0
    return [y0, x0, y1, x1] if orientation >= 5 else [x0, y0, x1, y1]


def _opened(data: bytes) -> tuple[Image.Image, bool]:
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


def _decoded(data: bytes) -> tuple[Image.Image, bool]:
    """Return a picture, and whether every reader of these bytes sees it like this."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise BadPicture("picture too large", f"{image.width} x {image.height} pixels")
    if image.width * image.height == 0:
        raise BadPicture("unreadable picture", "it has no pixels")
    scans = data.count(b"\xff\xda") if image.format in ("JPEG", "MPO") else 1
    if scans * image.width * image.height > SCANNED_PIXELS:
        raise BadPicture("picture takes too long to decode", f"{scans} scans")
    image.load()  # of several (GIF, TIFF, MPO) the first, as everybody does
    if image.mode not in MODES:
        raise BadPicture("picture of an unknown kind", image.mode)
    transparent = image.has_transparency_data and not image.mode.startswith("I;16")
    shown, plain = (_on_white if transparent else MODES[image.mode])(image)
    turned = _turned(image, shown)
    return (shown, plain) if turned is None else (turned, False)


def _turned(image: Image.Image, shown: Image.Image) -> Image.Image | None:
    """Return what is shown of an image upright, or nothing where that is how it is stored."""
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # damaged, which stops those who read it: it is written without
        return shown
    if orientation not in TURNS:
        return None
    return shown.transpose(TURNS[orientation])


def _as_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    return image.convert("RGB"), True


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Lay what is transparent on white: drawings are black lines, made for a white page.

    Pillow's own conversion shows them black on black.
    """
    image = image.convert("RGBA")
    opaque = image.getextrema()[3] == (255, 255)
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image).convert("RGB"), opaque


def _of_16_bits(image: Image.Image) -> tuple[Image.Image, bool]:
    """Take the upper eight bits, as Pillow does with 16-bit colours, but not with grey."""
    values = np.asarray(image)
    if 0 < values.max() < LOW:
        raise BadPicture(
            "picture of 16 bits that uses the lowest 12 only, which would be black: scale it"
        )
    shown = (values >> 8).astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        shown[values == clear] = 255
    return Image.fromarray(shown).convert("RGB"), False


def _of_numbers(image: Image.Image) -> tuple[Image.Image, bool]:
    """Take floating-point numbers from black at 0 to white at 1, as all tools write them."""
    values = np.asarray(image)
    if not (values.min() >= 0 and values.max() <= 1):  # false for NaN, too
        raise BadPicture("picture of floating-point numbers beyond 0 to 1: scale it to 8 bits")
    return Image.fromarray((values * 255).round().astype(np.uint8)).convert("RGB"), False


def _of_32_bits(image: Image.Image) -> tuple[Image.Image, bool]:
    raise BadPicture("picture of 32-bit numbers, of which none is known as white: scale it")


LOW = 2**12  # 12 bits of X-rays and depth cameras: at most 15 of 255 would be left
ORIENTATION = 0x0112  # in EXIF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
# What Pillow calls the kinds of pictures, and how each is shown.
MODES: dict[str, Callable[[Image.Image], tuple[Image.Image, bool]]] = {
    **dict.fromkeys(("RGB", "L", "1", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"), _as_rgb),
    **dict.fromkeys(("RGBA", "LA", "PA", "RGBa", "La"), _on_white),
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), _of_16_bits),
    "F": _of_numbers,
    "I": _of_32_bits,
}


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


def zoomed(image: Image.Image, box: Box, margin: float = 0.25) -> Image.Image:
    """Cut `box` out of `image` with a margin and enlarge it, for models of dynamic resolution.

    Its longest side becomes `ZOOMED` pixels; what is larger already stays as it is.
    """
    box = box.to(image.size).grown(margin)
    right, bottom = min(image.width, round(box.x1) + 1), min(image.height, round(box.y1) + 1)
    cut = image.crop((int(box.x0), int(box.y0), right, bottom))
    scale = max(1.0, ZOOMED / max(cut.size))
    size = tuple(max(SMALLEST, round(scale * side)) for side in cut.size)
    return cut.resize((size[0], size[1]), Image.Resampling.BICUBIC)


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
