"""The tokenizer loses nothing, is the same every time, and speaks Qwen3-VL's chat format."""

import random

import pytest

from tasks.world import drawing
from tasks.world.lexicon import HELD_OUT_SHAPES
from tasks.world.tokenizer import FRAGMENTS, SPECIAL, TAGS, VOCABULARY, train_tokenizer


@pytest.fixture(scope="module")
def texts():
    rng = random.Random("tokenizer")
    asked = [
        question
        for kind in list(drawing.KINDS) * 20
        for question in drawing.draw_for_pretraining(rng, kind, 8)[1]
    ]
    return [text for question in asked for text in (question.prompt, question.answer)]


def ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_questions_and_answers_come_back_as_they_were(tokenizer, texts):
    assert len(texts) > 1000
    for text in texts:
        assert tokenizer.decode(ids(tokenizer, text)) == text


@pytest.mark.parametrize(
    "text", ["naïve “quotes” — 漢字 🙂", "a\n\n  b\t\u2028c ", "{'x': [1e-5]}", ""]
)
def test_any_text_comes_back_as_it_was(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_training_again_gives_the_same_tokenizer(tokenizer):
    again = train_tokenizer()
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_the_vocabulary_has_its_size(tokenizer):
    assert len(tokenizer) == VOCABULARY
    assert sorted(tokenizer.get_vocab().values()) == list(range(VOCABULARY))


@pytest.mark.parametrize("text", SPECIAL + TAGS + FRAGMENTS)
def test_marks_tags_and_fragments_are_single_tokens(tokenizer, text):
    assert ids(tokenizer, text) == [tokenizer.convert_tokens_to_ids(text)]


def test_every_digit_is_a_token_of_its_own(tokenizer):
    digits = {tokenizer.convert_tokens_to_ids(digit) for digit in "0123456789"}
    encoded = ids(tokenizer, "1990 + 27 = [2017]")
    assert len(digits) == 10 and sum(token in digits for token in encoded) == 10


def test_a_detection_costs_less_than_half_of_its_characters_in_tokens(tokenizer):
    text = '[{"bbox_2d": [12, 34, 56, 78], "label": "red circle", "confidence": 0.9}]'
    assert len(ids(tokenizer, text)) <= 20


def test_reading_skips_marks_and_keeps_the_tags_of_thoughts(tokenizer):
    text = "<think>1</think><answer>2</answer><|im_end|>"
    shown = tokenizer.decode(ids(tokenizer, text), skip_special_tokens=True)
    assert shown == "<think>1</think><answer>2</answer>"


def test_a_conversation_is_written_in_qwens_format(tokenizer):
    picture = {"type": "image"}
    text = tokenizer.apply_chat_template(
        [
            {"role": "user", "content": [picture, picture, {"type": "text", "text": "Two?"}]},
            {"role": "assistant", "content": "Yes."},
        ],
        tokenize=False,
    )
    seen = "<|vision_start|><|image_pad|><|vision_end|>"
    assert text == (
        f"<|im_start|>user\n{seen}{seen}Two?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
    )


def test_a_saved_tokenizer_loads_as_the_same(tokenizer, tmp_path, texts):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.padding_side == "left" and loaded.eos_token == "<|im_end|>"
    assert loaded.chat_template == tokenizer.chat_template
    assert [ids(loaded, text) for text in texts[:200]] == [ids(tokenizer, t) for t in texts[:200]]


def test_no_question_of_the_world_is_split_into_single_bytes(tokenizer, texts):
    characters = sum(map(len, texts))
    tokens = sum(len(ids(tokenizer, text)) for text in texts)
    assert tokens < characters / 2.5


def test_held_out_words_can_be_written_in_few_tokens(tokenizer):
    for word in HELD_OUT_SHAPES:
        assert len(ids(tokenizer, f" {word}")) <= 3
