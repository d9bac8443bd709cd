"""Pictures as bytes: written small, opened carefully, and cut to what a box shows."""

import io

from PIL import Image

from tasks.boxes import Box

MAX_PIXELS = 64_000_000  # a larger picture is refused before it is decoded (decompression bombs)


def to_png(image: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def open_image(data: bytes) -> Image.Image:
    """Decode a picture to RGB.

    Raises:
        ValueError: The bytes are no picture, a broken one, or one of more than `MAX_PIXELS`.
    """
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"picture of {image.width} x {image.height} pixels is too large")
        return image.convert("RGB")
    except Image.DecompressionBombError as error:
        raise ValueError(f"picture is too large ({error})") from error
    except (OSError, SyntaxError) as error:
        raise ValueError(f"unreadable picture ({error})") from error


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
