"""The tiny model is a real Qwen3-VL: reproducible, saved, loaded and generating."""

import pytest
import torch
from transformers import AutoModelForImageTextToText, Qwen3VLForConditionalGeneration

from models.tiny.vlm import MERGE, PATCH, tiny_qwen3_vl
from tasks.world.lexicon import SIDE

TOKENS = (SIDE // (PATCH * MERGE)) ** 2


def inputs(tokenizer, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return one picture of noise and a question about it."""
    seen = f"<|vision_start|>{'<|image_pad|>' * TOKENS}<|vision_end|>"
    text = f"<|im_start|>user\n{seen}How many?<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    generator = torch.Generator().manual_seed(seed)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int(),
        "pixel_values": torch.randn(4 * TOKENS, 3 * PATCH * PATCH, generator=generator),
        "image_grid_thw": torch.tensor([[1, SIDE // PATCH, SIDE // PATCH]]),
    }


def test_the_default_model_has_3_4_million_parameters(tokenizer):
    model = tiny_qwen3_vl(tokenizer, SIDE)
    assert type(model) is Qwen3VLForConditionalGeneration
    assert round(model.num_parameters() / 1e6, 1) == 3.4
    assert model.config.vision_config.deepstack_visual_indexes == []


def test_the_same_seed_gives_the_same_weights(tiny_model):
    one, again, other = (tiny_model(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_answer_depends_on_the_picture(tiny_model, tokenizer):
    model = tiny_model(weight_scale=3)
    with torch.no_grad():
        one, other = (model(**inputs(tokenizer, seed)).logits[0, -1] for seed in (0, 1))
    assert (one - other).abs().max() > 1e-3


def test_a_saved_model_loads_as_the_same_model(tiny_model, tokenizer, tmp_path):
    model = tiny_model(weight_scale=3)
    model.save_pretrained(tmp_path)
    assert [file.suffix for file in tmp_path.glob("model*")] == [".safetensors"]
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    assert type(loaded) is type(model)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(**inputs(tokenizer)).logits, model(**inputs(tokenizer)).logits
        )


def test_words_are_read_and_written_with_one_table(tiny_model):
    model = tiny_model()
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_the_model_stops_at_the_end_of_its_turn(tiny_model, tokenizer):
    model = tiny_model()
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert model.config.text_config.vocab_size >= len(tokenizer)


def test_greedy_generation_equals_choosing_the_best_token_of_full_forwards(tiny_model, tokenizer):
    model = tiny_model(weight_scale=3)
    batch = inputs(tokenizer)
    written = model.generate(**batch, max_new_tokens=6, do_sample=False, eos_token_id=-1)
    ids = batch["input_ids"]
    for _ in range(6):
        batch |= {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": (ids == model.config.image_token_id).int(),
        }
        with torch.no_grad():
            best = model(**batch).logits[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, best], dim=1)
    assert written.tolist() == ids.tolist()


@pytest.mark.parametrize("hidden", [64, 128])
def test_the_width_is_a_choice(tiny_model, tokenizer, hidden):
    with torch.no_grad():
        logits = tiny_model(hidden=hidden)(**inputs(tokenizer)).logits
    assert logits.isfinite().all() and logits.shape[-1] >= len(tokenizer)
