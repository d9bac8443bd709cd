"""Sharing prefixes changes what is computed twice, and nothing else."""

import copy
import logging

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from trl.trainer.utils import add_fused_lm_head

from models.prefix.shared import share_prefix
from models.prefix.tree import common_length, prefix_tree

IMAGE, PATCH_VALUES, SIDE = "<|image_pad|>", 3 * 8 * 8, 4  # a picture of 4 x 4 patches: 4 tokens
LENGTHS = (3, 9, 6, 1)


def deepstack(model):
    """The same small Qwen3-VL, with features of the first vision layer added to the first layer."""
    config = copy.deepcopy(model.config)
    config.vision_config.deepstack_visual_indexes = [0]
    torch.manual_seed(1)
    return type(model)(config)


def qwen2_5_vl(model):
    text, token = model.config.text_config, model.config
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": text.vocab_size, "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4,
                                "mrope_section": [2, 3, 3]},
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 64, "num_heads": 2,
            "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 1,
            "out_hidden_size": 64, "fullatt_block_indexes": [1], "window_size": 32,
        },
        image_token_id=token.image_token_id, video_token_id=token.video_token_id,
        vision_start_token_id=token.vision_start_token_id,
        vision_end_token_id=token.vision_end_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(1)
    return Qwen2_5_VLForConditionalGeneration(config)


@pytest.fixture(params=["qwen3_vl", "qwen3_vl_deepstack", "qwen2_5_vl"])
def model(request, tiny_model):
    plain = tiny_model(hidden=64, layers=2)
    model = {"qwen3_vl": lambda m: m, "qwen3_vl_deepstack": deepstack, "qwen2_5_vl": qwen2_5_vl}[
        request.param
    ](plain)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # fresh weights hardly look at their input
                parameter.mul_(2.0)
            elif "norm" not in name:
                parameter.normal_(std=0.1)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model.train()


def batch(model, prompts, group_sizes, seed=0, shuffle=False, answer=LENGTHS):
    """Rows as TRL makes them: prompts padded on the left, answers on the right.

    Args:
        prompts: Per prompt (picture numbers, words); equal numbers are equal pictures.
    """
    rng = np.random.default_rng(seed)
    image = model.config.image_token_id
    pictures = {
        n: torch.from_numpy(
            np.random.default_rng(n).normal(size=(SIDE**2, PATCH_VALUES)).astype(np.float32)
        )
        for shown, _ in prompts
        for n in shown
    }
    words = [rng.integers(10, 200, size=count) for _, count in prompts]
    rows = []
    for (shown, _), text, size in zip(prompts, words, group_sizes, strict=True):
        prompt = [image] * (len(shown) * SIDE**2 // 4)
        for k, _ in enumerate(shown):  # a word between pictures keeps them apart
            prompt[k * 5 : k * 5] = [7]
        prompt += text.tolist()
        for i in range(size):
            end = rng.integers(10, 200, size=answer[i % len(answer)]).tolist()
            rows.append((shown, prompt, end))
    if shuffle:
        rows = [rows[i] for i in rng.permutation(len(rows))]
    left, right = max(len(p) for _, p, _ in rows), max(len(e) for _, _, e in rows)
    ids = torch.tensor([[0] * (left - len(p)) + p + e + [0] * (right - len(e)) for _, p, e in rows])
    mask = torch.tensor(
        [[0] * (left - len(p)) + [1] * len(p + e) + [0] * (right - len(e)) for _, p, e in rows]
    )
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :left] = -100
    made = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    shown = [n for numbers, _, _ in rows for n in numbers]
    if shown:
        made |= {
            "pixel_values": torch.cat([pictures[n] for n in shown]),
            "image_grid_thw": torch.tensor([[1, SIDE, SIDE]] * len(shown)),
            "mm_token_type_ids": (ids == image).int(),
        }
    return made


def scores_and_gradients(model, rows):
    model.zero_grad()
    output = model(**rows, fused_lm_head=True)
    weights = torch.linspace(-1, 1, output.log_probs.numel()).view_as(output.log_probs)
    (output.log_probs * weights + 0.1 * output.entropy).sum().backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return output, gradients


def assert_equal_with_and_without(model, rows):
    plain, expected = scores_and_gradients(model, rows)
    sharing = share_prefix(model)
    shared, gradients = scores_and_gradients(model, rows)
    assert sharing.computed < sharing.given
    assert torch.allclose(shared.log_probs, plain.log_probs, atol=1e-5, rtol=0)
    assert torch.allclose(shared.entropy, plain.entropy, atol=1e-5, rtol=0)
    assert torch.allclose(shared.loss, plain.loss, atol=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        error = (gradient - expected[name]).norm() / expected[name].norm().clamp(min=1e-6)
        assert error < 1e-4, name
    return sharing


CASES = {
    "one picture each": ([([0], 14), ([1], 17), ([2], 14)], [4, 4, 4]),
    "unequal groups": ([([0], 20), ([1], 16)], [5, 2]),
    "a single row among groups": ([([0], 20), ([1], 30)], [3, 1]),
    "several pictures": ([([0, 1, 2], 9), ([3, 0], 14)], [3, 3]),
    "text only beside pictures": ([([0], 18), ([], 21), ([1], 15)], [3, 3, 2]),
    "text only": ([([], 25), ([], 30)], [3, 3]),
    "the same pictures in another order": ([([0, 1, 2], 4), ([0, 2, 1], 4)], [3, 3]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_log_probabilities_and_gradients_are_those_of_the_plain_path(model, case, shuffle):
    prompts, sizes = CASES[case]
    rows = batch(model, prompts, sizes, shuffle=shuffle)
    assert_equal_with_and_without(model, rows)


@pytest.fixture
def several_threads():
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(1)


def test_gradients_are_the_same_to_the_last_bit_every_time(model, several_threads):
    """Eight answers read the last state of one prompt: the order of the sum must not vary."""
    rows = batch(model, [([0], 14)], [8], answer=[80])  # enough for a kernel to use the threads
    share_prefix(model)
    _, first = scores_and_gradients(model, rows)
    for _ in range(10):
        _, again = scores_and_gradients(model, rows)
        assert [name for name in first if not torch.equal(again[name], first[name])] == []


def test_gradient_checkpointing_computes_the_same(model):
    model.gradient_checkpointing_enable()
    assert_equal_with_and_without(model, batch(model, [([0], 14), ([1], 17)], [4, 4]))


def test_lora_trains_the_same(model):
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], lora_dropout=0.0)
    torch.manual_seed(0)
    wrapped = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:  # zero at first: nothing would pass through it
                parameter.normal_(std=0.1)
    rows = batch(model, [([0], 14), ([1], 17)], [4, 4])
    assert_equal_with_and_without(wrapped, rows)
    with wrapped.disable_adapter(), torch.no_grad():
        alone = wrapped(**rows, fused_lm_head=True).log_probs
    assert not torch.allclose(alone, wrapped(**rows, fused_lm_head=True).log_probs)


def test_pairs_padded_on_the_right_share_their_prompt(model):
    """DPO's and reward models' layout: prompts of different lengths, padding at the end only."""
    rows = batch(model, [([0], 12), ([1], 25)], [2, 2])
    for row in range(4):
        count = int(rows["attention_mask"][row].sum())
        first = int(rows["attention_mask"][row].argmax())
        for name, empty in (("input_ids", 0), ("labels", -100), ("mm_token_type_ids", 0)):
            values = rows[name][row, first : first + count].clone()
            rows[name][row] = empty
            rows[name][row, :count] = values
        rows["attention_mask"][row] = (torch.arange(rows["labels"].shape[1]) < count).long()
    assert_equal_with_and_without(model, rows)


def test_answers_that_begin_alike_share_a_second_level(model):
    rows = batch(model, [([0], 14)], [6], answer=(30,))
    rows["input_ids"][1:4, -30:-8] = rows["input_ids"][0, -30:-8]  # 22 common tokens
    rows["input_ids"][5] = rows["input_ids"][4]  # the same answer twice
    rows["labels"][:, -30:] = rows["input_ids"][:, -30:]
    sharing = assert_equal_with_and_without(model, rows)
    prompt = sharing.given // 6 - 30
    assert sharing.computed == prompt + 22 + 4 * 8 + 30


def test_states_come_back_in_the_layout_of_the_caller(model):
    rows = batch(model, [([0], 14), ([1], 17)], [3, 3])
    labels, mask = rows.pop("labels"), rows["attention_mask"].bool()
    plain = model.model(**rows).last_hidden_state
    assert share_prefix(model)
    shared = model.model(**rows).last_hidden_state
    assert shared.shape == plain.shape and labels.shape == plain.shape[:2]
    assert torch.allclose(shared[mask], plain[mask], atol=1e-5)


def test_rows_without_anything_in_common_take_the_plain_path(model):
    rows = batch(model, [([0], 14), ([1], 17)], [1, 1])
    plain, expected = scores_and_gradients(model, rows)
    sharing = share_prefix(model)
    shared, gradients = scores_and_gradients(model, rows)
    assert sharing.computed == 0
    assert torch.allclose(shared.log_probs, plain.log_probs, atol=1e-6)
    assert all(torch.allclose(gradients[n], expected[n], atol=1e-6) for n in expected)


def test_generation_is_untouched(model):
    model.eval()
    rows = batch(model, [([0], 14), ([0], 14)], [2, 2], answer=(1,))
    rows.pop("labels")
    generate = {"max_new_tokens": 6, "do_sample": False}
    plain = model.generate(**rows, **generate)
    share_prefix(model)
    assert torch.equal(model.generate(**rows, **generate), plain)


def test_a_prompt_that_lost_image_tokens_is_named(model):
    rows = batch(model, [([0], 14), ([1], 17)], [2, 2])
    share_prefix(model)
    rows["input_ids"][rows["input_ids"] == model.config.image_token_id] = 9
    told = r"hold \[0, 0, 0, 0\] image tokens, but its 4 pictures .* yield \[4, 4, 4, 4\]"
    with pytest.raises(ValueError, match=told):
        model(**rows, fused_lm_head=True)


def test_a_cut_prompt_is_named_too(model):
    rows = batch(model, [([0], 14), ([1], 17)], [2, 2])
    first = int((rows["input_ids"][2] == model.config.image_token_id).nonzero()[0])
    rows["input_ids"][2, first] = 9
    share_prefix(model)
    with pytest.raises(ValueError, match=r"hold \[4, 4, 3, 4\] image tokens"):
        model(**rows, fused_lm_head=True)


def test_other_families_say_that_they_are_not_supported(caplog):
    class Other(torch.nn.Module):
        config = type("Config", (), {"model_type": "llava"})()

    with caplog.at_level(logging.WARNING):
        assert share_prefix(Other()) is None
    assert "llava models compute every row on their own" in caplog.text


def test_nodes_of_the_tree_joined_are_the_rows():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 3, size=60)
    rows = [
        np.concatenate([base[: rng.integers(0, 60)], rng.integers(0, 3, 20)]) for _ in range(40)
    ]
    nodes = prefix_tree(rows, min_shared=4)
    for number, row in enumerate(rows):
        mine = [n for n in nodes if number in n.rows]
        assert [n.start for n in mine] == [0, *[n.stop for n in mine[:-1]]]
        assert mine[-1].stop == len(row)
        for node in mine:
            first = rows[node.rows[0]]
            assert (first[node.start : node.stop] == row[node.start : node.stop]).all()
            assert node.parent is None or number in nodes[node.parent].rows
    assert any(node.depth > 1 for node in nodes)


def test_common_length():
    rows = [np.array(r) for r in ([1, 2, 3, 4], [1, 2, 3], [1, 2, 5, 4])]
    assert common_length(rows) == 2
    assert common_length(rows[:2]) == 3
