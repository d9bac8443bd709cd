import copy

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from models.prefix.shared import share_prefix
from models.vlm.loading import load_model, load_processor
from models.vlm.picture_memory import remember_pictures, remember_tower


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


def inputs_of(processor, *shown: Image.Image):
    turns = [
        [{"role": "user", "content": [
            {"type": "image", "image": one}, {"type": "text", "text": "What is it?"},
        ]}]
        for one in shown
    ]  # fmt: skip
    return processor.apply_chat_template(
        turns, tokenize=True, return_dict=True, return_tensors="pt",
        processor_kwargs={"padding": True},
    )  # fmt: skip


@pytest.fixture(params=["qwen3_vl", "qwen2_5_vl"])
def model_and_processor(request, processor, model_folder, family_models):
    if request.param == "qwen3_vl":
        return load_model(model_folder), processor
    return family_models


@pytest.fixture(scope="module")
def family_models():
    from bench.grpo import model_of_20_million

    model, processor = model_of_20_million(56)
    return model.eval(), processor


def test_a_frozen_tower_looks_at_each_picture_once_and_says_the_same(model_and_processor):
    model, processor = model_and_processor
    a, b, c = picture(20), picture(90), picture(50)
    batches = [(a, b, a), (b, c), (c, a)]
    plain = [model(**inputs_of(processor, *some)).logits for some in batches]
    tower = model.model.visual
    before = tower.forward
    memory = remember_tower(model)
    try:
        for some, expected in zip(batches, plain, strict=True):
            got = model(**inputs_of(processor, *some)).logits
            assert torch.allclose(got, expected, atol=1e-4)
        assert (memory.given, memory.computed) == (7, 3)
        sharing = share_prefix(model)
        again = model(**inputs_of(processor, a, a)).logits
        assert torch.allclose(again[0], plain[0][0], atol=1e-3) and sharing
        assert memory.computed == 3
    finally:
        tower.forward = before


def test_what_was_asked_for_longest_ago_goes_first(processor, model_folder):
    model = load_model(model_folder)
    one = model.model.visual(
        **{"hidden_states": inputs_of(processor, picture(1))["pixel_values"],
           "grid_thw": inputs_of(processor, picture(1))["image_grid_thw"]}
    ).pooler_output  # fmt: skip
    memory = remember_tower(model, most=2 * one.numel() * one.element_size())
    a, b, c = picture(20), picture(90), picture(50)
    for some in ((a,), (b,), (a,), (c,), (a,), (b,)):  # b goes for c, as a was asked for since
        model(**inputs_of(processor, *some))
    assert memory.computed == 4 and len(memory.kept) == 2
    assert memory.held <= memory.most
    # more pictures than there is room for, in one batch
    model(**inputs_of(processor, a, b, c, picture(70)))
    assert memory.held <= memory.most


def test_gradients_reach_the_language_model_and_none_the_tower(processor, model_folder):
    losses, inputs = {}, inputs_of(processor, picture(20), picture(90))
    for name in ("plain", "remembered"):
        model = load_model(model_folder).train()
        for parameter in model.model.visual.parameters():
            parameter.requires_grad_(False)
        if name == "remembered":
            remember_tower(model)
        loss = model(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        grads = [
            p.grad for n, p in model.named_parameters() if "visual" not in n and p.requires_grad
        ]
        losses[name] = (float(loss), sum(float(g.abs().sum()) for g in grads if g is not None))
        assert all(p.grad is None for p in model.model.visual.parameters())
    assert losses["plain"] == pytest.approx(losses["remembered"], rel=1e-4)


def test_another_family_stays_as_it_is():
    assert remember_tower(torch.nn.Linear(2, 2)) is None


def test_what_a_tower_has_seen_is_read_by_another_model_with_the_same_tower(
    model_and_processor, tmp_path
):
    model, processor = model_and_processor
    a, b = picture(20), picture(90)
    expected = model(**inputs_of(processor, a, b)).logits
    tower, before = model.model.visual, model.model.visual.forward
    try:
        memory = remember_tower(model)
        model(**inputs_of(processor, a))
        memory.write(tmp_path / "seen.safetensors")
        tower.forward = before
        memory = remember_tower(model)
        memory.take([tmp_path / "seen.safetensors"])
        got = model(**inputs_of(processor, a, b)).logits
    finally:
        tower.forward = before
    assert torch.allclose(got, expected, atol=1e-4)
    assert (memory.given, memory.computed) == (2, 1) and len(memory.kept) == 1
