"""The tiny model's own tokenizer: byte-level BPE, single digits, boxes in few tokens."""

import random
from pathlib import Path

import trl
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tasks.world import drawing, questions

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>",
    "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
TAGS = ("<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>",
        "<tool_response>", "</tool_response>")  # fmt: skip
# Fragments of the JSON that answers contain, each one token: a box costs 9 tokens instead of 25.
FRAGMENTS = ('{"bbox_2d": [', '], "label": "', '", "confidence": 0.', '}, {"bbox_2d": [',
             '{"name": "', '", "arguments": {', '"bbox_2d": [', ", ")  # fmt: skip
VOCABULARY = 704
# Words that later stages use although the micro-world's own questions do not.
EXTRA_WORDS = """
heart hearts ring rings white gray brown next between user system assistant tool because the image
shows contains worse score reason question describe detail true false unknown nothing search page
find caption info summary evidence therefore
"""


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer on 3,000 training pictures' questions; deterministic."""
    rng = random.Random(1)
    corpus: list[str] = []
    for i in range(3000):
        kind = list(drawing.KINDS)[i % len(drawing.KINDS)]
        for question in drawing.draw_for_pretraining(rng, kind, 8)[1]:
            corpus += [question.prompt, question.answer]
    for _ in range(1000):
        question = questions.text_only(rng)
        corpus += [question.prompt, question.answer]
    corpus += [text for word in EXTRA_WORDS.split() for text in (word, f" {word}")] * 30

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    size = VOCABULARY - len(SPECIAL) - len(TAGS) - len(FRAGMENTS)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, special=False) for text in TAGS + FRAGMENTS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
        },
        padding_side="left",
        model_max_length=2048,
        chat_template=qwen3_vl_template(),
    )


def qwen3_vl_template() -> str:
    """Return Qwen3-VL's chat template: TRL recognises it and can let the model call tools."""
    return (Path(trl.__file__).parent / "chat_templates" / "qwen3_vl.jinja").read_text()
