"""Scores texts that are given: the log-probability of each of their tokens, after any history.

Rows that begin alike are computed once (`models/prefix/shared.py`): ten candidates about one
picture, both orders of a pair as far as they agree, a draft and its variants. The head runs on the
tokens that are scored, in slices: never on whole prompts, and never on all rows at once.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from models.prefix.shared import SharedPrefix

SLICE = 2**24  # logits at once: 64 MB in float32


@torch.no_grad()
def log_probs(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], texts: list[list[int]]
) -> list[torch.Tensor]:
    """Return the log-probabilities of texts, each after its prompt.

    Args:
        inputs: The processor's tensors of the prompts, padded on the left; one row per text.
        texts: Tokens to be scored, at least one of each.

    Returns:
        Per row, float32 [tokens of the text].
    """
    head = model.get_output_embeddings()
    found = [
        -F.cross_entropy(head(states).float(), tokens, reduction="none")
        for states, tokens in _slices(model, inputs, texts)
    ]
    return list(torch.cat(found).cpu().split([len(text) for text in texts]))


@torch.no_grad()
def written_greedily(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], texts: list[list[int]]
) -> list[bool]:
    """Return of each text whether it is what greedy decoding writes after its prompt.

    Its tokens are the likeliest at every place, so one pass tells; of equally likely tokens the
    first counts, as in `models.prefix.sampling.greedy`.

    Args:
        inputs, texts: As in `log_probs`.
    """
    head = model.get_output_embeddings()
    found = [head(states).argmax(-1) == tokens for states, tokens in _slices(model, inputs, texts)]
    rows = torch.cat(found).cpu().split([len(text) for text in texts])
    return [bool(row.all()) for row in rows]


def _slices(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], texts: list[list[int]]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the states that tokens of texts are written from, with these tokens, in slices."""
    rows = _with_texts(inputs, texts)
    length = inputs["input_ids"].shape[1]
    wanted = torch.zeros_like(rows["input_ids"][:, 1:], dtype=torch.bool)
    for row, text in enumerate(texts):
        wanted[row, length - 1 : length - 1 + len(text)] = True
    if state := SharedPrefix.of(model):
        hidden = state.states_at(wanted, rows)
    else:
        hidden = model.model(**rows).last_hidden_state[:, :-1][wanted]
    labels = rows["input_ids"][:, 1:][wanted]
    step = max(1, SLICE // model.get_output_embeddings().weight.shape[0])
    yield from zip(hidden.split(step), labels.split(step), strict=True)


def repeated(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], owners: list[int]
) -> dict[str, torch.Tensor]:
    """Return a batch in which each row is one of the prompts; pictures are not prepared again.

    Args:
        model: A Qwen-VL: its pictures lie one after the other, with a grid each.
        inputs: The processor's tensors of the prompts.
        owners: The prompt of each row.
    """
    index = torch.tensor(owners, device=inputs["input_ids"].device)
    rows = {
        name: value[index]
        for name, value in inputs.items()
        if name not in ("image_grid_thw", "pixel_values")
    }
    if (grids := inputs.get("image_grid_thw")) is None:
        return rows
    shown = (inputs["input_ids"] == model.config.image_token_id).sum(1)
    tokens = grids.prod(-1) // model.config.vision_config.spatial_merge_size**2
    ends = torch.searchsorted(tokens.cumsum(0), shown.cumsum(0), right=True).tolist()
    begins = [0, *ends[:-1]]
    pictures = [n for owner in owners for n in range(begins[owner], ends[owner])]
    if pictures:
        patches = inputs["pixel_values"].split(grids.prod(-1).tolist())
        rows["image_grid_thw"] = grids[pictures]
        rows["pixel_values"] = torch.cat([patches[n] for n in pictures])
    return rows


def _with_texts(inputs: dict[str, torch.Tensor], texts: list[list[int]]) -> dict[str, torch.Tensor]:
    """Return the prompts with their texts behind them, padded on both sides."""
    ids = inputs["input_ids"]
    added = ids.new_zeros(len(texts), max(map(len, texts)))
    seen = torch.zeros_like(added)
    for row, text in enumerate(texts):
        added[row, : len(text)] = ids.new_tensor(text)
        seen[row, : len(text)] = 1
    rows = dict(inputs)
    rows["input_ids"] = torch.cat([ids, added], 1)
    rows["attention_mask"] = torch.cat([inputs["attention_mask"], seen], 1)
    if (kinds := inputs.get("mm_token_type_ids")) is not None:  # a text shows no picture
        rows["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(added)], 1)
    return rows
