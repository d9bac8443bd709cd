"""Training, which opens pictures through `datasets`, and asking see one and the same picture.

Before pictures were written upright and in 8 bits, a photograph was trained on upright and asked
about lying, and a box that was right for one was wrong for the other.
"""

import io
import json

import numpy as np
import pytest
from datasets import Image as Feature
from PIL import Image as Pillow
from PIL import features
from transformers.image_transforms import convert_to_rgb

from tasks.reading.dataset import read_dataset
from tasks.records.images import TURNS, BadPicture, kept, open_image, stored, to_png, turned_corners
from tasks.records.rows import read_rows
from tests.tasks.reading.folders import PLAIN, jsonl, read, reasons


def drawing() -> Pillow.Image:
    """Return a picture that looks different however it is turned."""
    values = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    image = Pillow.fromarray(values)
    image.paste((250, 10, 10), (2, 3, 9, 7))
    return image


def encoded(image: Pillow.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def oriented(number: int, form: str = "JPEG") -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = number
    return encoded(drawing(), form, exif=exif)


def depth(dtype, top: float) -> Pillow.Image:
    return Pillow.fromarray(np.linspace(0, top, 24 * 16).reshape(16, 24).astype(dtype))


def see_through(mode: str) -> Pillow.Image:
    image = drawing().convert("RGBA")
    image.putalpha(Pillow.linear_gradient("L").resize(image.size))
    return image.convert(mode)


def palette(clear: object) -> bytes:
    return encoded(drawing().convert("P"), "PNG", transparency=clear)


PICTURES = {
    **{f"JPEG orientation {n}": oriented(n) for n in range(10)},
    **{f"{form} orientation 6": oriented(6, form) for form in ("PNG", "WEBP", "TIFF")},
    "RGB": to_png(drawing()),
    "CMYK": encoded(drawing().convert("CMYK"), "JPEG"),
    "CMYK in TIFF": encoded(drawing().convert("CMYK"), "TIFF"),
    "grey": encoded(drawing().convert("L"), "PNG"),
    "black and white": encoded(drawing().convert("1"), "PNG"),
    "grey of 16 bits": encoded(depth(np.uint16, 65535), "PNG"),
    "grey of 16 bits, the other way round": encoded(depth(">u2", 65535), "TIFF"),
    "grey of 16 bits with a clear value": encoded(depth(np.uint16, 65535), "PNG", transparency=0),
    "numbers": encoded(depth(np.float32, 1), "TIFF"),
    "palette": encoded(drawing().convert("P"), "PNG"),
    "palette with a clear colour": palette(drawing().convert("P").getpixel((2, 3))),
    "palette with transparency": palette(bytes(range(256))),
    "RGBA": to_png(see_through("RGBA")),
    "grey with transparency": to_png(see_through("LA")),
    "RGB with a clear colour": encoded(drawing(), "PNG", transparency=(250, 10, 10)),
    "opaque RGBA": to_png(drawing().convert("RGBA")),
    "moving GIF": encoded(drawing(), "GIF", save_all=True, append_images=[drawing().rotate(90)]),
    "moving PNG": encoded(drawing(), "PNG", save_all=True, append_images=[drawing().rotate(90)]),
    "pair of a phone": encoded(drawing(), "MPO", save_all=True, append_images=[drawing()]),
    "YCbCr": encoded(drawing().convert("YCbCr"), "TIFF"),
}  # fmt: skip
# Those that are written anew, as not everybody would see them alike.
ANEW = {name for name in PICTURES if "orientation" in name and name[-1] in "2345678"}
ANEW -= {"TIFF orientation 6"}  # Pillow itself turns it
ANEW |= {name for name in PICTURES if "16 bits" in name or "clear" in name}
ANEW |= {"numbers", "palette with transparency", "RGBA", "grey with transparency"}


def trained_on(data: bytes) -> np.ndarray:
    """Return a picture as training sees it: decoded by `datasets`, made RGB by transformers."""
    picture = Feature().decode_example({"bytes": data, "path": None})
    return convert_to_rgb(picture, return_numpy=True)


@pytest.mark.parametrize("name", PICTURES)
def test_training_and_asking_see_one_picture(folder, name):
    (folder / "a.png").write_bytes(PICTURES[name])
    (sample,) = read(jsonl(folder, {"prompt": "p", "answer": "a", "image": "a.png"}))
    (data,) = sample.images
    asked = np.asarray(open_image(data))
    assert np.array_equal(trained_on(data), asked)
    assert np.array_equal(asked, np.asarray(open_image(PICTURES[name])))
    with Pillow.open(io.BytesIO(data)) as header:  # which `tasks.asking.preparing` looks at
        assert header.size == sample.size == asked.shape[1::-1]
    assert (data != PICTURES[name]) == (name in ANEW)


def test_without_writing_anew_they_would_not():
    odd = [name for name, data in PICTURES.items()
           if not np.array_equal(trained_on(data), np.asarray(open_image(data)))]  # fmt: skip
    assert {"grey of 16 bits", "numbers"} <= set(odd) <= ANEW


@pytest.mark.parametrize("orientation", TURNS)
def test_a_box_is_turned_with_its_picture(orientation):
    lying = Pillow.new("RGB", (24, 16))
    lying.paste((255, 255, 255), (2, 3, 9, 7))
    upright = np.asarray(lying.transpose(TURNS[orientation]))[..., 0]
    rows, columns = np.nonzero(upright)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert turned_corners([2, 3, 9, 7], (24, 16), orientation) == found


def test_what_is_stored_is_told_before_it_is_turned():
    assert stored(oriented(6)) == ((24, 16), 6)
    assert stored(oriented(9)) == ((24, 16), 1)


@pytest.mark.parametrize("declared", [(24, 16), (16, 24)], ids=["as stored", "upright"])
def test_boxes_of_a_turned_photograph_are_in_the_picture_that_they_were_drawn_on(folder, declared):
    """Case 01."""
    lying = Pillow.new("RGB", (24, 16))
    lying.paste((255, 255, 255), (4, 2, 12, 6))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    (folder / "pictures" / "1.jpg").write_bytes(encoded(lying, "JPEG", exif=exif, quality=100))
    bbox = [4, 2, 8, 4] if declared == (24, 16) else [10, 4, 4, 8]
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": declared[0], "height": declared[1]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": bbox}],
        "categories": [{"id": 1, "name": "square"}],
    }
    (folder / "boxes.json").write_text(json.dumps(content))
    read_dataset(folder, folder.parent / "out", folder.parent / "aside", 0.0)
    (row,) = read_rows(folder.parent / "out")
    (x0, y0, x1, y1), = (map(int, corners) for corners in row["corners"])  # fmt: skip
    white = trained_on(row["images"][0]["bytes"])[..., 0] > 128
    assert row["size"] == [16, 24]
    assert white[y0:y1, x0:x1].mean() > 0.9 > 0.1 > (white.sum() - 32) / white.size


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (depth(np.uint16, 4000), "16 bits that uses the lowest 12"),
        (depth(np.float32, 300), "floating-point numbers beyond 0 to 1"),
        (depth(np.float32, float("nan")), "floating-point numbers beyond 0 to 1"),
        (depth(np.int32, 255), "32-bit numbers"),
    ],
    ids=["X-ray", "large numbers", "no numbers", "whole numbers"],
)
def test_numbers_whose_range_is_unknown_are_refused(picture, reason):
    with pytest.raises(BadPicture, match=reason):
        open_image(encoded(picture, "TIFF"))


def test_what_is_scaled_or_transparent_can_be_seen():
    """Case 11: white, black, and black."""
    for name in ("grey of 16 bits", "numbers"):
        values = np.asarray(open_image(PICTURES[name]))
        assert values.min() == 0 and values.max() == 255 and 100 < values.mean() < 150
    page = Pillow.new("RGBA", (24, 16), (0, 0, 0, 0))
    page.paste((0, 0, 0, 255), (2, 3, 9, 7))
    seen = np.asarray(open_image(to_png(page)))
    assert (seen == 0).all(-1).sum() == 7 * 4 and (seen == 255).all(-1).sum() == 24 * 16 - 7 * 4


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot read AVIF")
def test_a_damaged_avif_is_set_aside(folder):
    """Case 12."""
    data = encoded(drawing(), "AVIF")
    assert kept(data)[1] == (24, 16)
    (folder / "a.jpg").write_bytes(data[:-60])
    jsonl(folder, PLAIN | {"image": "a.jpg"}, PLAIN)
    assert reasons(folder) == {"unreadable picture": 1}
