"""Writes answers: common beginnings are encoded once, and answers share their prompt's cache.

`generate` repeats every prompt for each of its G answers: pictures, prefill, and keys and values in
memory. Here the prefix tree of all prompts is encoded once (`models/prefix/tree.py`), a prompt's
keys and values are read by all of its answers in one product per layer and step (cascade attention:
the prompt's part and the answer's own part are joined by their log-sums), and answers that have
ended leave the batch. Greedy answers equal those of `generate`, and sampled ones follow the model's
distribution (tests/models/prefix/test_sampling.py, test_rollouts.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from models.prefix.shared import SharedPrefix

LOOK_EVERY = 4  # steps between looks at which answers have ended (a look waits for the device)
DROP_BELOW = 0.75  # the batch is made smaller when at most this share of its rows goes on


@dataclass
class Prompts:
    """Distinct prompts after their prefill, and the rows that answer them.

    Attributes:
        keys, values: Per layer, [prompts, key heads, prompt tokens, dimension].
        hidden: Which prompt tokens are padding, [prompts, 1, 1, prompt tokens].
        slots: Rows by prompt, [prompts, most rows of a prompt]; short groups repeat row 0.
        places: Where a row stands in the flattened slots, [rows].
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    hidden: torch.Tensor
    slots: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(
        cls,
        keys: list[torch.Tensor],
        values: list[torch.Tensor],
        hidden: torch.Tensor,
        owners: torch.Tensor,
    ) -> "Prompts":
        """Keep the prompts that still have rows; `owners` names the prompt of each row."""
        kept, owners = owners.unique(return_inverse=True)
        if len(kept) < len(hidden):
            keys, values = [k[kept] for k in keys], [v[kept] for v in values]
            hidden = hidden[kept]
        counts = owners.bincount(minlength=len(kept))
        width = int(counts.max())
        order = owners.argsort(stable=True)
        rank = torch.empty_like(owners)
        rank[order] = torch.arange(len(owners), device=owners.device) - (
            counts.cumsum(0) - counts
        ).repeat_interleave(counts)
        places = owners * width + rank
        slots = torch.zeros(len(kept) * width, dtype=torch.long, device=owners.device)
        slots[places] = torch.arange(len(owners), device=owners.device)
        return cls(keys, values, hidden, slots.view(-1, width), places)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        own_key: torch.Tensor,
        own_value: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """Attend to the prompt and to the answer so far.

        Args:
            query: [rows, heads, 1, dimension].
            own_key, own_value: [rows, key heads, answer tokens, dimension].

        Returns:
            [rows, 1, heads, dimension].
        """
        rows, heads, _, dimension = query.shape
        groups = own_key.shape[1]
        grouped = query.view(rows, groups, heads // groups, dimension)
        asked = grouped[self.slots].transpose(1, 2).flatten(2, 3)  # [prompts, groups, slots·n, d]
        scores = asked @ self.keys[layer].transpose(-1, -2) * scaling
        scores = scores.masked_fill(self.hidden, -torch.inf)
        prompt, prompt_sum = _weighted(scores, self.values[layer])
        prompt, prompt_sum = self._by_row(prompt, groups), self._by_row(prompt_sum, groups)
        own, own_sum = _weighted(grouped @ own_key.transpose(-1, -2) * scaling, own_value)
        share = torch.sigmoid(prompt_sum - own_sum).to(own.dtype)
        return (share * prompt + (1 - share) * own).reshape(rows, 1, heads, dimension)

    def _by_row(self, states: torch.Tensor, groups: int) -> torch.Tensor:
        """Return [rows, groups, heads per group, d] from [prompts, groups, slots·heads, d]."""
        slots = self.slots.shape[1]
        apart = states.unflatten(2, (slots, -1)).transpose(1, 2).flatten(0, 1)
        return apart[self.places]


def _weighted(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the attended values and the log-sum of the scores that weighted them."""
    total = scores.float().logsumexp(-1, keepdim=True)
    weights = (scores.float() - total).exp().to(values.dtype)
    return weights @ values, total


class AnswerCache:
    """Keys and values of the answers so far, in buffers of their final length."""

    def __init__(self, longest: int):
        self.longest, self.length = longest, 0
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add one token per row; return all so far (transformers' cache interface)."""
        if layer not in self._keys:
            shape = (*keys.shape[:2], self.longest, keys.shape[-1])
            self._keys[layer], self._values[layer] = keys.new_empty(shape), keys.new_empty(shape)
        end = self.length + 1
        self._keys[layer][:, :, self.length : end] = keys
        self._values[layer][:, :, self.length : end] = values
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def get_seq_length(self, *_: Any) -> int:
        """Return the number of tokens held (transformers' cache interface)."""
        return self.length

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all other rows."""
        for held in (self._keys, self._values):
            for layer, states in held.items():
                held[layer] = states[rows]


# Chooses tokens: from logits [rows, vocabulary], the rows' numbers [rows] and the step; [rows].
Draw = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


@dataclass
class Sampled:
    """Answers in tokens.

    Attributes:
        tokens: Per row, with the end token where one was drawn.
        log_probs: Per row, of each token; empty where nobody asked.
    """

    tokens: list[list[int]]
    log_probs: list[list[float]] = field(default_factory=list)


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    inputs: dict[str, torch.Tensor],
    owners: torch.Tensor,
    *,
    max_new_tokens: int,
    end_tokens: torch.Tensor,
    draw: Draw,
    scored_at: float | None = None,
    stop: Callable[[list[int]], bool] | None = None,
) -> Sampled:
    """Write one answer per row.

    Args:
        model: A Qwen-VL whose prefixes are shared (`models.prefix.shared.share_prefix`).
        inputs: The processor's tensors of the distinct prompts, padded on the left.
        owners: The prompt of each row, [rows].
        draw: Chooses the next tokens.
        scored_at: Note the log-probability of each token, at this temperature.
        stop: Tells from an answer's tokens so far that it has ended; asked every few steps, so the
            answer may go on for some tokens more.
    """
    if "image_grid_thw" in inputs and "mm_token_type_ids" not in inputs:
        shown = inputs["input_ids"] == model.config.image_token_id
        inputs = inputs | {"mm_token_type_ids": shown.int()}
    logits, following, keys, values = _prefill(model, inputs)
    hidden = (inputs["attention_mask"] == 0)[:, None, None, :]
    rows = torch.arange(len(owners), device=owners.device)
    alive = torch.ones(len(owners), dtype=torch.bool, device=owners.device)
    answers: list[list[int]] = [[] for _ in rows]
    scores: list[list[float]] = [[] for _ in rows] if scored_at else []
    prompts = Prompts.of(keys, values, hidden, owners)
    cache = AnswerCache(max_new_tokens)
    logits, following = logits[owners], following[owners]
    drawn: list[tuple[torch.Tensor, ...]] = []
    for step in range(max_new_tokens):
        tokens = draw(logits, rows, step)
        found = (rows[alive], tokens[alive])
        if scored_at:
            known = logits[alive] / scored_at
            found += (known.gather(1, tokens[alive, None])[:, 0] - known.logsumexp(-1),)
        drawn.append(found)
        alive = alive & ~torch.isin(tokens, end_tokens)
        if step + 1 == max_new_tokens:
            break
        if step % LOOK_EVERY == LOOK_EVERY - 1:
            _note(drawn, answers, scores)
            if stop:
                over = [stop(answers[row]) for row in rows.tolist()]
                alive = alive & ~torch.tensor(over, device=alive.device)
            going_on = int(alive.sum())
            if going_on == 0:
                break
            if going_on <= DROP_BELOW * len(alive):
                left = alive.nonzero()[:, 0]
                cache.keep(left)
                rows, tokens, following = rows[left], tokens[left], following[left]
                owners, alive = owners[left], alive[left]
                prompts = Prompts.of(keys, values, hidden, owners)
        output = model(
            input_ids=tokens[:, None],
            # four dimensions are taken as they are; what a token sees is in `prompts`
            attention_mask=tokens.new_ones(1, 1, 1, 1),
            position_ids=following.expand(3, -1)[..., None],
            past_key_values=cache,
            use_cache=True,
            shared_prompts=prompts,
        )
        cache.length += 1
        logits, following = output.logits[:, -1].float(), following + 1
    _note(drawn, answers, scores)
    return Sampled(answers, scores)


def _note(
    drawn: list[tuple[torch.Tensor, ...]], answers: list[list[int]], scores: list[list[float]]
) -> None:
    """Add what was drawn since the last look to the answers."""
    for some, tokens, *chosen in drawn:
        for row, token in zip(some.tolist(), tokens.tolist(), strict=True):
            answers[row].append(token)
        for noted in chosen:
            for row, score in zip(some.tolist(), noted.tolist(), strict=True):
                scores[row].append(score)
    drawn.clear()


def greedy(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
    """Choose the likeliest tokens."""
    return logits.argmax(-1)


def own_draws(seeds: Sequence[int], longest: int, temperature: float) -> Draw:
    """Return a draw in which each row has random numbers of its own.

    Neither the company of a row nor the order of the batch changes what it draws: Philox counts
    from the row's seed, and the token is where the cumulated probabilities pass the number.

    Args:
        seeds: One per row, of up to 128 bits.
        longest: Steps.
    """
    numbers = np.stack(
        [np.random.Generator(np.random.Philox(key=s)).random(longest) for s in seeds]
    )
    uniform = torch.from_numpy(numbers)

    def draw(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        cumulated = (logits.float() / temperature).softmax(-1).double().cumsum(-1)
        at = uniform.to(logits.device)[rows, step, None] * cumulated[:, -1:]
        return torch.searchsorted(cumulated, at, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)

    return draw


def _prefill(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    """Encode the prompts.

    Returns:
        Logits after each prompt, [prompts, vocabulary]; the next position of each, [prompts]; keys
        and values by layer, each [prompts, key heads, prompt tokens, dimension].
    """
    positions, following = _positions(model, inputs)
    cache = DynamicCache()
    state = SharedPrefix.of(model)
    hidden = state.prefill(inputs, cache) if state else None
    if hidden is None:
        output = model(
            **inputs, position_ids=positions, use_cache=True, logits_to_keep=1,
            past_key_values=cache,
        )  # fmt: skip
        logits = output.logits[:, -1]
        keys, values = [x.keys for x in cache.layers], [x.values for x in cache.layers]
    else:
        last, places = hidden
        logits = model.lm_head(last)
        keys, values = [], []
        for layer in cache.layers:
            keys.append(layer.keys[0][:, places].transpose(0, 1))
            values.append(layer.values[0][:, places].transpose(0, 1))
            layer.keys = layer.values = None  # one copy at a time
    return logits.float(), following, keys, values


def _positions(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the prompts' positions [3, prompts, tokens] and each one's next position."""
    mask, ids = inputs["attention_mask"], inputs["input_ids"]
    if inputs.get("image_grid_thw") is None:
        positions = (mask.cumsum(-1) - 1).clamp(min=0).expand(3, *ids.shape)
    else:
        positions, _ = model.model.get_rope_index(
            ids, mm_token_type_ids=inputs["mm_token_type_ids"],
            image_grid_thw=inputs["image_grid_thw"], attention_mask=mask,
        )  # fmt: skip
    return positions, positions.amax(dim=(0, 2)) + 1
