"""More tokens for a model that judges: a trace takes 104 of them instead of 196.

They are the words that traces are made of (UnifiedReward-Think, arXiv 2505.03318: "1. Colors: Image
1 red, blue, pink (7/10); ..."), the sentences of verdicts, and the fixed parts of what a judge is
asked (`tasks/prompts/judge/`). No question of the base contains one of them.
"""

from pathlib import Path

import torch
from tokenizers import AddedToken
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.vlm.loading import load_model, load_processor, save_model
from tasks.world.thinking import DIMENSIONS

_DIMENSIONS = [name for name, _ in DIMENSIONS["scene"]]
_NOUNS = ("Answer", "Image")
_SCORED = "Score both on "
FRAGMENTS = (
    *(f"{n}. " for n in (1, 2, 3)),
    *(f"{noun} {i}" for noun in _NOUNS for i in (1, 2)),
    *(f"{noun} {i}: " for noun in _NOUNS for i in (1, 2)),
    *(f"{name}: {noun} 1" for name in _DIMENSIONS for noun in _NOUNS),
    " (", "/10)", *(f"/10); {noun} 2" for noun in _NOUNS), "Total score:\n", "+", "=",
    *(f"{noun} {i} is better" for noun in _NOUNS for i in (1, 2)),
    "Image 1 is better than Image 2", "Image 2 is better than Image 1",
    "Caption: ", "Which image shows the caption better? ",
    'Which image shows the caption better? Write "Image 1 is better than Image 2" or '
    '"Image 2 is better than Image 1".',
    *_DIMENSIONS, f"\n{_SCORED}", f"\n{_SCORED}{', '.join(_DIMENSIONS)}", "\nAdd up.",
    *(
        f", each from 1 to 10, add up, then answer: <think>1. {_DIMENSIONS[0]}: {noun} 1 (n/10) - "
        f"why; {noun} 2 (n/10) - why\nTotal score:\n{noun} 1: n+n=n\n{noun} 2: n+n=n</think>"
        f"<answer>{noun} 1 is better</answer>"
        for noun in _NOUNS
    ),
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
    texts = list(dict.fromkeys(FRAGMENTS))
    pieces = {text: tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts}
    new = [text for text in texts if len(pieces[text]) > 1]
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in new])
    ids = tokenizer.convert_tokens_to_ids(new)
    return {id: pieces[text] for id, text in zip(ids, new, strict=True)}


@torch.no_grad()
def _begin_as_means(model: PreTrainedModel, pieces: dict[int, list[int]]) -> None:
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        for token, parts in pieces.items():  # the two are one where they are tied
            layer.weight[token] = layer.weight[parts].mean(0)
