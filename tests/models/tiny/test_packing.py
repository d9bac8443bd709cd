"""A packed row computes what separate prompts compute, and pictures are cut as Qwen cuts them."""

import numpy as np
import pytest
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from models.tiny.packing import (
    IGNORED,
    PADDING,
    Packer,
    block_mask,
    image_patches,
    merge_block_order,
)
from models.tiny.pretraining import PackedPretraining
from models.tiny.vlm import MERGE, PATCH
from tasks.world.lexicon import SIDE

TOKENS_PER_SIDE = SIDE // (PATCH * MERGE)
TOKENS = TOKENS_PER_SIDE**2
PAIRS = [
    ("How many red circles are there?", "2"),
    ("Describe the image.", "A small red circle at the top left."),
    ("Detect every star.", '[{"bbox_2d": [1, 2, 30, 40], "label": "star", "confidence": 0.9}]'),
    ("Find every red star.", "<think>1 red star</think><answer>[]</answer>"),
]
PICTURES = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def packer(tokenizer) -> Packer:
    return Packer(tokenizer, TOKENS_PER_SIDE, length=400)


@pytest.fixture(scope="module")
def processor() -> Qwen2VLImageProcessorPil:
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=1,
        size={"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def separate_ids(tokenizer, question: str, answer: str, pictures: int) -> torch.Tensor:
    """Return the ids [1, tokens] of one conversation as a Qwen processor builds them."""
    content = [{"type": "image"}] * pictures + [{"type": "text", "text": question}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": answer},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    text = text.replace("<|image_pad|>", "<|image_pad|>" * TOKENS).removesuffix("\n")
    return tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]


def picture_types(ids: torch.Tensor, tokenizer) -> torch.Tensor:
    return (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()


def grids(pictures: int) -> torch.Tensor | None:
    return torch.tensor([[1, SIDE // PATCH, SIDE // PATCH]] * pictures) if pictures else None


def batch_of(packer: Packer, pictures: int, dummy: int = 1) -> dict[str, torch.Tensor]:
    """Return a batch of one packed row; a row without pictures still passes `dummy` of them."""
    row = packer.pack(PAIRS, pictures)
    return {
        "input_ids": torch.from_numpy(row.input_ids)[None],
        "positions": torch.from_numpy(row.positions)[:, None],
        "segments": torch.from_numpy(row.segments)[None],
        "labels": torch.from_numpy(row.labels)[None],
        "pixels": torch.from_numpy(PICTURES[: pictures or dummy]),
    }


def answer_log_probs(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities of tokens 1.. [tokens - 1] of one row."""
    return logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]


def packed_log_probs(
    module: PackedPretraining, batch: dict[str, torch.Tensor]
) -> list[torch.Tensor]:
    """Return the log-probabilities of the answer tokens of each question of a packed row."""
    with torch.no_grad():
        hidden, _ = module(batch)
        log_probs = answer_log_probs(module.model.lm_head(hidden), batch["input_ids"])
    learned, segments = batch["labels"][0, 1:] != IGNORED, batch["segments"][0, 1:]
    return [log_probs[learned & (segments == i)] for i in range(1, int(segments.max()) + 1)]


@pytest.fixture(scope="module")
def twins(tiny_model):
    """The stock model, and the same weights as packed pretraining runs them."""
    stock = tiny_model(layers=2, weight_scale=3)
    return stock, PackedPretraining(tiny_model(layers=2, weight_scale=3), 1, 1).eval()


# ---- packed equals separate ------------------------------------------------------------------


def separate_log_probs(stock, processor, tokenizer, pictures: int) -> list[torch.Tensor]:
    """Return the log-probabilities of each answer when every question is asked on its own."""
    seen = {}
    if pictures:
        pixels = processor(list(PICTURES[:pictures]), return_tensors="pt")["pixel_values"]
        seen = {"pixel_values": pixels, "image_grid_thw": grids(pictures)}
    found = []
    for question, answer in PAIRS:
        ids = separate_ids(tokenizer, question, answer, pictures)
        types = picture_types(ids, tokenizer)
        with torch.no_grad():
            logits = stock(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=types if pictures else None,
                **seen,
            ).logits
        length = len(tokenizer(answer, add_special_tokens=False)["input_ids"]) + 1
        found.append(answer_log_probs(logits, ids)[-length:])
    return found


@pytest.mark.parametrize("pictures", [0, 1, 4])
def test_answers_are_as_probable_in_a_packed_row_as_on_their_own(
    twins, packer, processor, tokenizer, pictures
):
    stock, module = twins
    expected = separate_log_probs(stock, processor, tokenizer, pictures)
    packed = packed_log_probs(module, batch_of(packer, pictures))
    assert len(packed) == len(PAIRS)
    for one, other in zip(packed, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_the_comparison_notices_wrong_positions_and_missing_walls(twins, packer):
    _, module = twins
    batch = batch_of(packer, 1)
    right = torch.cat(packed_log_probs(module, batch))
    straight = torch.arange(batch["input_ids"].shape[1]).expand_as(batch["positions"])
    for wrong in (
        {"positions": straight},
        {"segments": torch.where(batch["segments"] > 0, 0, batch["segments"])},
        {"pixels": batch["pixels"].flip(1)},
    ):
        assert not torch.equal(next(iter(wrong.values())), batch[next(iter(wrong))])
        changed = batch | wrong
        with torch.no_grad():
            hidden, _ = module(changed)
            log_probs = answer_log_probs(module.model.lm_head(hidden), batch["input_ids"])
        different = (log_probs[batch["labels"][0, 1:] != IGNORED] - right).abs().max()
        assert different > 1e-2, wrong.keys()


@pytest.mark.parametrize("pictures", [0, 1, 2, 4])
def test_packed_ids_and_positions_are_those_of_the_stock_model(twins, packer, tokenizer, pictures):
    row = packer.pack(PAIRS, pictures)
    for number, (question, answer) in enumerate(PAIRS, start=1):
        ids = separate_ids(tokenizer, question, answer, pictures)
        positions, _ = twins[0].model.get_rope_index(
            ids, picture_types(ids, tokenizer), image_grid_thw=grids(pictures)
        )
        mine = (row.segments == 0) | (row.segments == number)
        assert row.input_ids[mine].tolist() == ids[0].tolist()
        assert row.positions[:, mine].tolist() == positions[:, 0].tolist()


def test_questions_do_not_influence_each_other(twins, packer):
    _, module = twins
    batch = batch_of(packer, 1)
    before = packed_log_probs(module, batch)
    changed = batch["input_ids"].clone()
    changed[batch["segments"] == 2] = 300
    after = packed_log_probs(module, batch | {"input_ids": changed})
    for i in (0, 2, 3):
        torch.testing.assert_close(before[i], after[i])
    assert (before[1] - after[1]).abs().max() > 1e-2


# ---- rows ------------------------------------------------------------------------------------


def test_labels_are_the_answers_with_their_end(packer, tokenizer):
    row = packer.pack(PAIRS, 1)
    assert (
        len(row.input_ids) == len(row.labels) == len(row.segments) == row.positions.shape[1] == 400
    )
    for number, (_, answer) in enumerate(PAIRS, start=1):
        learned = row.labels[(row.segments == number) & (row.labels != IGNORED)]
        assert tokenizer.decode(learned) == answer + "<|im_end|>"


def test_a_question_that_does_not_fit_is_left_out_and_a_later_one_that_fits_is_kept(tokenizer):
    pairs = [PAIRS[0], ("Describe the image.", "A red circle. " * 20), PAIRS[1]]
    row = Packer(tokenizer, TOKENS_PER_SIDE, length=100).pack(pairs, 1)
    assert row.segments.max() == 2 and len(row.input_ids) == 100
    text = tokenizer.decode(row.input_ids)
    assert PAIRS[0][0] in text and PAIRS[1][1] in text and "A red circle. A red" not in text


def test_padding_is_marked_and_teaches_nothing(packer):
    row = packer.pack(PAIRS[:1], 0)
    padding = row.segments == PADDING
    assert 300 < padding.sum() < 400 and padding[-1]
    assert (row.labels[padding] == IGNORED).all()


# ---- the mask --------------------------------------------------------------------------------


def test_the_mask_lets_each_question_see_the_picture_and_itself():
    segments = torch.tensor([[0, 0, 1, 1, 2, PADDING]])
    allowed = block_mask(segments, torch.float32)[0, 0] == 0
    assert allowed.int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_hidden_gets_no_weight_and_no_row_is_empty(dtype):
    segments = torch.tensor([[0, 0, 1, 1, 2, 2, PADDING, PADDING], [1, 1, 2, 2, 2, 3, 3, PADDING]])
    mask = block_mask(segments, dtype)
    assert mask.shape == (2, 1, 8, 8) and mask.dtype == dtype
    weights = torch.softmax(mask.float(), dim=-1)
    assert (weights[mask < 0] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, 8))


# ---- pictures --------------------------------------------------------------------------------


def test_patches_equal_those_of_transformers_own_processor(processor):
    expected = processor(list(PICTURES), return_tensors="pt")
    assert expected["image_grid_thw"].tolist() == grids(4).tolist()
    ours = image_patches(torch.from_numpy(PICTURES), PATCH, MERGE)
    torch.testing.assert_close(ours, expected["pixel_values"].float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("side", "merge"), [(12, 2), (6, 3), (4, 1)])
def test_the_order_of_labels_is_the_order_of_patches(side, merge):
    numbers = np.arange(side * side, dtype=np.uint8).reshape(side, side)
    pixels = numbers.repeat(PATCH, 0).repeat(PATCH, 1)  # every patch is painted with its number
    pixels = torch.from_numpy(pixels)[None, :, :, None].expand(-1, -1, -1, 3)
    patches = image_patches(pixels, PATCH, merge)
    assert torch.equal(patches.min(1).values, patches.max(1).values)
    seen = ((patches[:, 0] + 1) * 127.5).round().long()
    assert seen.tolist() == merge_block_order(side, side, merge).tolist()
