"""Boxes survive the way through a processor's own resizing, whatever frame a model writes in."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tasks.asking.coordinates import Coordinates
from tasks.records.boxes import Box
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
