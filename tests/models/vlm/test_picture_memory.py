import copy

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from models.vlm.loading import load_processor
from models.vlm.picture_memory import remember_pictures


@pytest.fixture
def processor(model_folder):
    return load_processor(model_folder)


def picture(shade: int) -> Image.Image:
    return Image.effect_noise((96, 96), shade).convert("RGB")


def test_pictures_are_prepared_as_before_and_once(processor, monkeypatch):
    a, b = picture(20), picture(90)
    shown = [[a, b], [b.copy()], [a], [b]]  # b twice as an equal copy
    expected = processor.image_processor(shown, return_tensors="pt")
    plain = type(processor.image_processor)
    calls = []
    original = plain.preprocess

    def counting(self, images, **settings):
        calls.append(len(images))
        return original(self, images, **settings)

    monkeypatch.setattr(plain, "preprocess", counting)
    remember_pictures(processor)
    got = processor.image_processor(shown, return_tensors="pt")
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert calls == [1, 1]
    processor.image_processor([b], return_tensors="pt")
    assert calls == [1, 1]  # remembered from the last call
    processor.image_processor([a], return_tensors="pt")
    assert calls == [1, 1, 1]  # but not from the one before


def test_pictures_that_differ_in_their_palette_only_are_told_apart(processor):
    red = Image.new("P", (96, 96), 0)
    red.putpalette([200, 0, 0])
    blue = red.copy()
    blue.putpalette([0, 0, 200])
    assert red.tobytes() == blue.tobytes()
    expected = processor.image_processor([red, blue], return_tensors="pt")["pixel_values"]
    remember_pictures(processor)
    got = processor.image_processor([red, blue], return_tensors="pt")["pixel_values"]
    assert torch.equal(got, expected) and not torch.equal(*got.chunk(2))


def test_it_is_saved_under_its_usual_name(processor, tmp_path):
    name = type(processor.image_processor).__name__
    before = copy.deepcopy(processor.image_processor.to_dict())
    remember_pictures(processor)
    processor.image_processor([picture(5)], return_tensors="pt")
    assert type(processor.image_processor).__name__ == name
    assert processor.image_processor.to_dict() == before
    processor.save_pretrained(tmp_path)
    assert type(AutoImageProcessor.from_pretrained(tmp_path, backend="pil")).__name__ == name
