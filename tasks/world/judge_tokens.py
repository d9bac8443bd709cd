"""More tokens for a model that judges: 'Answer 1 is better' takes 1 of them instead of 8.

The words of a verdict, and of a reasoned one as UnifiedReward-Think writes it (arXiv 2505.03318):
"1. color: Image 1 (6/10) - ...". And the fixed sentences of the prompts in tasks/prompts/judge/,
which took up to 45. " is better" alone is none of them: a question of the base contains it.
"""

from pathlib import Path

import torch
from tokenizers import AddedToken
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.vlm.loading import load_model, load_processor, save_model

_NAMES = tuple(f"{noun} {i}" for noun in ("Answer", "Image", "Video") for i in (1, 2))
FRAGMENTS = (
    *_NAMES, *(f"{name} (" for name in _NAMES), *(f"{name} is better" for name in _NAMES), " than ",
    " are equally good", "Caption: ", "Final Score: ", "Overall Judgment: ", "Total score:", "/10)",
    " of the caption are right",
    "The pictures are frames of a video.",
    "The first 3 pictures are Video 1, the other 3 are Video 2.",
    ' Which answer is better, "Answer 1 is better" or "Answer 2 is better"? ',
    ', as "Final Score: " and the number: ',
    'Which image shows the caption better? Write "Image 1 is better than Image 2" or '
    '"Image 2 is better than Image 1".',
    'Which video shows the caption better? Write "Video 1 is better than Video 2" or '
    '"Video 2 is better than Video 1".',
    'How well does the image show the caption? Write "Final Score: " and a number from ',
    'How well does the video show the caption? Write "Final Score: " and a number from ',
)  # fmt: skip


def with_fragments(folder: Path, out: Path) -> Path:
    """Write a model that has a token for each fragment, and return its folder.

    It reads texts without any fragment as before. A new token begins as the mean of its pieces.
    """
    model, processor = load_model(str(folder)), load_processor(str(folder))
    tokenizer = processor.tokenizer  # type: ignore[attr-defined]
    pieces = add_fragments(tokenizer)
    model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=8, mean_resizing=False)
    _begin_as_means(model, pieces)
    save_model(model, processor, out)
    return out


def add_fragments(tokenizer: PreTrainedTokenizerBase) -> dict[int, list[int]]:
    """Add a token for each fragment, and return the pieces that stood for it before."""
    pieces = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in FRAGMENTS]
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in FRAGMENTS])
    ids = tokenizer.convert_tokens_to_ids(list(FRAGMENTS))
    return dict(zip(ids, pieces, strict=True))


@torch.no_grad()
def _begin_as_means(model: PreTrainedModel, pieces: dict[int, list[int]]) -> None:
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        for token, parts in pieces.items():  # the two are one where they are tied
            layer.weight[token] = layer.weight[parts].mean(0)
