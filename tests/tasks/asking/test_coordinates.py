"""Boxes survive the way through a processor's own resizing, whatever frame a model writes in."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tasks.asking.answers import first_box
from tasks.asking.coordinates import Coordinates
from tasks.records.boxes import Box, written
from tasks.running.errors import UserError

SIZES = [(640, 480), (333, 217), (96, 96), (1500, 420), (2000, 3000)]


@pytest.fixture(scope="module")
def processor():
    """Qwen2.5-VL's image processor with the paper's limit of 401,408 pixels."""
    return Qwen2VLImageProcessorPil(
        patch_size=14, merge_size=2, size={"shortest_edge": 3136, "longest_edge": 401408},
        image_mean=[0.0] * 3, image_std=[1.0] * 3,
    )  # fmt: skip


def seen(processor, image: Image.Image) -> np.ndarray:
    """Put the patches that the model gets together again: [height, width], 0 to 1."""
    found = processor(images=[image], return_tensors="pt")
    _, rows, columns = found["image_grid_thw"][0].tolist()
    patches = found["pixel_values"].reshape(rows // 2, columns // 2, 2, 2, 3, -1, 14, 14)
    patches = patches[:, :, :, :, 0, 0]  # one channel, one of the repeated frames
    return torch.einsum("RCrcyx->RryCcx", patches).reshape(rows * 14, columns * 14).numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_frame_of_pixels_is_where_the_processor_puts_an_object(processor, size):
    width, height = size
    box = Box(0.25 * width, 0.3 * height, 0.6 * width, 0.9 * height, size)
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle([box.x0, box.y0, box.x1 - 1, box.y1 - 1], fill="white")
    picture = seen(processor, image)

    frame = Coordinates(0, processor).frame(size)

    assert frame == (picture.shape[1], picture.shape[0])
    rows, columns = np.nonzero(picture > 0.5)
    placed = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    expected = box.to(frame)
    assert placed == pytest.approx([expected.x0, expected.y0, expected.x1, expected.y1], abs=1.5)


@pytest.mark.parametrize("relative", [0, 100, 1000])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_box_comes_back_to_within_half_a_unit_of_the_frame(processor, size, relative):
    frame = Coordinates(relative, processor).frame(size)
    box = Box(0.2 * size[0], 0.1 * size[1], 0.7 * size[0], 0.55 * size[1], size)
    written = Box(*box.to(frame).corners(), frame)
    back = written.to(size)
    for ours, true, unit in zip(
        (back.x0, back.y0, back.x1, back.y1), (box.x0, box.y0, box.x1, box.y1),
        (size[0] / frame[0], size[1] / frame[1]) * 2, strict=True,
    ):  # fmt: skip
        assert abs(ours - true) <= 0.5 * unit + 1e-9


def test_a_processor_that_does_not_tell_is_refused():
    class Silent:
        patch_size = 14

        def __call__(self, images, return_tensors):
            return {"pixel_values": None}

    with pytest.raises(UserError, match="relative frame"):
        Coordinates(0, Silent()).frame((10, 10))


@pytest.mark.parametrize("relative", [0, 1000])
def test_a_question_without_a_picture_has_a_frame_too(processor, relative):
    frame = Coordinates(relative, processor).frame((0, 0))
    assert min(frame) > 0 and Box(0, 0, *frame, frame).valid


PADDED = [  # GCoT's specification, section 10: where a pixel lands in the padded square
    ((100, 50), (10, 10), (100, 10, 35)), ((50, 100), (0, 0), (100, 25, 0)),
    ((64, 64), (5, 6), (64, 5, 6)), ((101, 50), (100, 49), (101, 100, 74)),
    ((3, 2), (2, 1), (3, 2, 1)), ((2, 3), (1, 2), (3, 1, 2)), ((1, 1), (0, 0), (1, 0, 0)),
    ((224, 100), (0, 0), (224, 0, 62)), ((100, 224), (99, 223), (224, 161, 223)),
    ((6, 5), (0, 4), (6, 0, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("size", "pixel", "lands"), PADDED)
def test_a_pixel_lands_in_the_padded_square_where_the_specification_says(size, pixel, lands):
    side, x, y = lands
    box = Box(*pixel, pixel[0] + 1, pixel[1] + 1, size)
    square = box.to(Coordinates("square").frame(size))
    assert (square.x0 * side, square.y0 * side) == pytest.approx((x, y))
    back = square.to(size)
    assert back.frame == size
    assert (back.x0, back.y0) == pytest.approx(pixel)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_padded_square_is_where_a_processor_that_pads_puts_an_object(size):
    """LLaVA's own image processor pads with the mean colour, and then resizes."""
    width, height = size
    pads = LlavaImageProcessorPil(
        do_pad=True, size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336},
        image_mean=[0.0] * 3, image_std=[1.0] * 3,
    )  # fmt: skip
    box = Box(0.25 * width, 0.3 * height, 0.6 * width, 0.9 * height, size)
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle([box.x0, box.y0, box.x1 - 1, box.y1 - 1], fill="white")
    picture = np.asarray(pads(images=[image], return_tensors="np")["pixel_values"][0])[0]
    rows, columns = np.nonzero(picture > 0.5)
    placed = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    written_ = written(box, Coordinates("square").frame(size))
    unit = max(2, 336 / max(size))  # a pixel of the picture, where it is enlarged
    assert placed == pytest.approx([336 * v for v in written_], abs=unit)


def test_decimals_that_are_hardly_outside_are_rounded_and_others_refused():
    frame = Coordinates("square").frame((100, 50))
    assert first_box("[-0.01, 0.3, 1.019, 0.7]", frame).x1 == 1
    assert first_box("[-0.1, 0, 1, 1.2]", frame) is None
