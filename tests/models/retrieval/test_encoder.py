"""A retriever on a real tiny model: pages are seen, merged, saved and opened again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers.util import maxsim

from models.retrieval.encoder import (
    GROUPS,
    Merging,
    PageInput,
    load_retriever,
    new_retriever,
    save_retriever,
    shape_of,
)
from models.retrieval.merging import group
from models.vlm.loading import load_model, load_processor


def picture(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 16, size[0] // 16, 3))
    return Image.fromarray(pixels.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def encoder(model_folder):
    return fresh(model_folder)


def test_a_page_has_a_unit_row_for_each_patch_and_another_picture_other_rows(encoder):
    first, second = encoder.encode_document([picture(0), picture(1)])
    assert first.shape == second.shape and first.shape[1] == 32
    assert torch.allclose(first.norm(dim=-1), torch.ones(len(first)), atol=1e-5)
    apart = (first - second).norm(dim=-1)
    assert (apart > 1e-3).sum() >= 36  # every patch differs


def test_a_page_is_the_same_alone_and_among_others_and_so_is_a_question(encoder):
    pages = [picture(seed) for seed in range(3)]
    together = encoder.encode_document(pages, batch_size=3)
    alone = [encoder.encode_document([page])[0] for page in pages]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(together, alone, strict=True))
    texts = ["May", "the sales of tea and of coffee in June"]
    together = encoder.encode_query(texts)
    alone = [encoder.encode_query([text])[0] for text in texts]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(together, alone, strict=True))
    scores = maxsim(together, alone)
    assert scores.shape == (2, 2) and scores.isfinite().all()


def test_a_question_has_its_augmentation_tokens_and_no_special_ones_of_its_own(encoder):
    short, long = encoder.encode_query(["", "<|image_pad|><|im_end|>"])
    assert len(short) >= 10
    tokens = encoder[0].preprocess(["<|image_pad|>"])["input_ids"]
    assert encoder[0].model.config.image_token_id not in tokens.tolist()[0]
    assert len(long) > len(short)


@pytest.mark.parametrize(("strategy", "left"), [("clusters", 4), ("windows", 4), ("runs", 4),
                                                ("none", 36)])  # fmt: skip
def test_merged_pages_have_fewer_rows_and_the_prompts_behind_them(encoder, strategy, left):
    whole = encoder.encode_document([picture(0), picture(1)])
    merged = new_retriever(
        encoder[0].model, encoder[0].processor, Merging(strategy, 9), width=32
    ).encode_document([picture(0), picture(1)])
    patches = encoder[0].preprocess([picture(0)])["is_patch"][0]
    prompt = len(whole[0]) - 36
    assert int(patches.sum()) == 36 and prompt < 20
    for page, few in zip(whole, merged, strict=True):
        assert len(few) == left + prompt
        assert torch.allclose(few[left:], page[~patches], atol=1e-5)
        assert torch.allclose(few.norm(dim=-1), torch.ones(len(few)), atol=1e-4)


def test_the_group_of_every_patch_is_told_with_the_grid(encoder):
    module = Merging("clusters", 9)
    features = encoder[0].preprocess([picture(0)], task="document")
    made = module(encoder[0](features), task="document")
    assert features["grids"] == [(6, 6)]
    [groups] = made[GROUPS]
    assert len(groups) == 36 and set(groups.tolist()) == set(range(4))
    assert int(made["attention_mask"].sum()) == made["token_embeddings"].shape[1]


def fresh(model_folder, merging=None):
    return new_retriever(load_model(model_folder), load_processor(model_folder), merging, width=32)


def test_it_is_saved_as_an_ordinary_folder_and_opened_again(model_folder, tmp_path):
    merged = fresh(model_folder, Merging("runs", 4))
    pages, texts = [picture(0)], ["May"]
    [page], [question] = merged.encode_document(pages), merged.encode_query(texts)
    save_retriever(merged, tmp_path)
    again = load_retriever(str(tmp_path))
    assert torch.allclose(again.encode_document(pages)[0], page, atol=0.05)  # bfloat16 on disk
    assert torch.allclose(again.encode_query(texts)[0], question, atol=0.05)
    assert not list(tmp_path.rglob("*.bin")) and (tmp_path / "model.safetensors").exists()
    other = load_retriever(str(tmp_path), Merging("none"))
    assert len(other.encode_document(pages)[0]) > len(again.encode_document(pages)[0])


def test_no_class_of_a_folder_is_imported(model_folder, tmp_path):
    save_retriever(fresh(model_folder), tmp_path)
    parts = json.loads((tmp_path / "modules.json").read_text())
    parts[1]["type"] = "evil.Module"
    (tmp_path / "modules.json").write_text(json.dumps(parts))
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(ValueError, match="no classes of a folder are imported"):
        load_retriever(str(tmp_path))


@pytest.mark.parametrize("change", [
    {"activation_function": "torch.nn.modules.activation.Hardshrink"}, {"use_residual": True},
])  # fmt: skip
def test_a_projection_is_a_matrix_of_safetensors_and_nothing_else(model_folder, tmp_path, change):
    save_retriever(fresh(model_folder), tmp_path)
    assert shape_of(tmp_path) == (32, "vectors")
    file = tmp_path / "1_Dense" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match="more than a matrix"):
        load_retriever(str(tmp_path))


def test_without_a_grid_patches_are_merged_by_likeness_and_windows_are_refused():
    page = torch.nn.functional.normalize(torch.randn(12, 8), dim=-1)
    assert len(group(page, "clusters", 4, (0, 12))) == 12
    with pytest.raises(ValueError, match="does not tell the grid"):
        group(page, "windows", 4, (0, 12))


def test_a_model_without_a_token_of_patches_is_refused(model_folder):
    model = SimpleNamespace(config=SimpleNamespace(model_type="blip"))
    with pytest.raises(ValueError, match="a blip does not tell which tokens are patches"):
        PageInput(model, load_processor(model_folder))


def test_the_most_pixels_of_a_page_can_be_set_anew(model_folder, tmp_path):
    small = new_retriever(load_model(model_folder), load_processor(model_folder), pixels=96 * 96)
    save_retriever(small, tmp_path)
    page = picture(0, (192, 192))
    grids = [
        load_retriever(str(tmp_path), pixels=pixels)[0].preprocess([page])["grids"]
        for pixels in (0, 192 * 192)
    ]
    assert grids == [[(6, 6)], [(12, 12)]]


def test_gradients_reach_the_projection_and_the_model_through_merged_rows(model_folder):
    encoder = fresh(model_folder, Merging("clusters", 9))
    pages = encoder[0].preprocess([picture(0), picture(1)], task="document")
    asked = encoder[0].preprocess(["May", "June"], task="query")
    document, query = encoder(pages, task="document"), encoder(asked, task="query")
    scores = maxsim(
        query["token_embeddings"], document["token_embeddings"],
        query["attention_mask"], document["attention_mask"],
    )  # fmt: skip
    scores.diagonal().sum().backward()
    assert encoder[1].linear.weight.grad.abs().sum() > 0
    grads = [p.grad for p in encoder[0].model.model.parameters() if p.grad is not None]
    assert grads and all(g.isfinite().all() for g in grads)
