"""Samples the answers of a GRPO step: one prefill per distinct prompt, one shared cache.

`generate` repeats every prompt for each of its G answers: pictures, prefill, and keys and values in
memory. Here a distinct prompt is encoded once, its keys and values are read by all of its answers
in one product per layer and step (cascade attention: the prompt's part and the answer's own part
are joined by their log-sums), and answers that have ended leave the batch.

`shared_rollouts` is what TRL calls a `rollout_func`. Greedy answers equal those of `generate`, and
sampled ones follow the distribution that training scores (tests/models/prefix/test_rollouts.py).
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import trl.trainer.grpo_trainer
from PIL import Image
from transformers import LogitsProcessorList, PreTrainedModel
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

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


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    inputs: dict[str, torch.Tensor],
    owners: torch.Tensor,
    *,
    max_new_tokens: int,
    end_tokens: torch.Tensor,
    warp: Callable[[torch.Tensor], torch.Tensor],
) -> list[list[int]]:
    """Sample one answer per row.

    Args:
        model: A Qwen-VL whose prefixes are shared (`models.prefix.shared.share_prefix`).
        inputs: The processor's tensors of the distinct prompts, padded on the left.
        owners: The prompt of each row, [rows].
        warp: Turns logits [rows, vocabulary] into those that are sampled from; `argmax` of them is
            taken where all others are -inf.

    Returns:
        The answers' tokens, with the end token where one was sampled.
    """
    positions, following = _positions(model, inputs)
    output = model(**inputs, position_ids=positions, use_cache=True, logits_to_keep=1)
    filled = output.past_key_values.layers
    keys, values = [layer.keys for layer in filled], [layer.values for layer in filled]
    hidden = (inputs["attention_mask"] == 0)[:, None, None, :]
    rows = torch.arange(len(owners), device=owners.device)
    alive = torch.ones(len(owners), dtype=torch.bool, device=owners.device)
    prompts = Prompts.of(keys, values, hidden, owners)
    cache = AnswerCache(max_new_tokens)
    logits, following = output.logits[owners, -1], following[owners]
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []
    for step in range(max_new_tokens):
        tokens = torch.multinomial(warp(logits.float()).softmax(-1), 1)
        drawn.append((rows[alive], tokens[alive, 0]))
        alive = alive & ~torch.isin(tokens[:, 0], end_tokens)
        if step + 1 == max_new_tokens:
            break
        if step % LOOK_EVERY == LOOK_EVERY - 1:
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
            input_ids=tokens,
            # four dimensions are taken as they are; what a token sees is in `prompts`
            attention_mask=tokens.new_ones(1, 1, 1, 1),
            position_ids=following.expand(3, -1)[..., None],
            past_key_values=cache,
            use_cache=True,
            shared_prompts=prompts,
        )
        cache.length += 1
        logits, following = output.logits[:, -1], following + 1
    answers: list[list[int]] = [[] for _ in range(len(alive) if not drawn else len(drawn[0][0]))]
    for some, tokens in drawn:
        for row, token in zip(some.tolist(), tokens.tolist(), strict=True):
            answers[row].append(token)
    return answers


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


# ---- what TRL calls ----------------------------------------------------------------------------


def shared_rollouts(prompts: list, trainer: GRPOTrainer) -> dict[str, Any]:
    """Answer a batch of conversations (TRL's `rollout_func`)."""
    distinct, owners = _distinct(prompts)
    inputs = dict(
        trainer.processing_class.apply_chat_template(
            [prompts[i] for i in distinct],
            chat_template=trainer.chat_template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
            **trainer.chat_template_kwargs,
        )
    )
    device = trainer.accelerator.device
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    if "image_grid_thw" in inputs and "mm_token_type_ids" not in inputs:
        image = trainer.model.config.image_token_id
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == image).int()
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
        ) as model,
        _answering(model),
        trainer.accelerator.autocast(),
    ):
        answers = sample(
            model.get_base_model() if hasattr(model, "get_base_model") else model,
            inputs,
            torch.tensor(owners, device=device),
            max_new_tokens=trainer.max_completion_length,
            end_tokens=torch.tensor(trainer.eos_token_ids, device=device),
            warp=partial(_warpers(trainer), None),
        )
    ids = [
        row[seen.bool()].tolist()
        for row, seen in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    ]
    return {
        "prompt_ids": [ids[owner] for owner in owners],
        "completion_ids": answers,
        "logprobs": None,
    }


def _warpers(trainer: GRPOTrainer) -> LogitsProcessorList:
    suppressed = SuppressTokensLogitsProcessor(
        [trainer.model.config.image_token_id], device=trainer.accelerator.device
    )
    warpers = LogitsProcessorList([suppressed])
    if trainer.temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(trainer.temperature))
    if trainer.top_k:
        warpers.append(TopKLogitsWarper(trainer.top_k))
    if trainer.top_p < 1.0:
        warpers.append(TopPLogitsWarper(trainer.top_p))
    if trainer.min_p:
        warpers.append(MinPLogitsWarper(trainer.min_p))
    return warpers


def _distinct(prompts: list) -> tuple[list[int], list[int]]:
    """Return the first row of each distinct prompt, and the number of each row's prompt."""
    numbers: dict[bytes, int] = {}
    first, owners = [], []
    for row, prompt in enumerate(prompts):
        key = _fingerprint(prompt)
        if key not in numbers:
            numbers[key] = len(first)
            first.append(row)
        owners.append(numbers[key])
    return first, owners


def _fingerprint(prompt: list[dict]) -> bytes:
    digest = hashlib.sha256()
    for message in prompt:
        parts = message["content"]
        for part in [parts] if isinstance(parts, str) else parts:
            image = part.get("image") if isinstance(part, dict) else None
            if isinstance(image, Image.Image):
                # in RGB: the bytes of a palette picture do not tell its colours
                digest.update(str(image.size).encode() + image.convert("RGB").tobytes())
            else:
                digest.update(repr((message["role"], part)).encode())
    return digest.digest()


@contextmanager
def _answering(model: torch.nn.Module) -> Iterator[None]:
    """Switch dropout off while answers are sampled."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


# ---- groups stay together ------------------------------------------------------------------------


class GroupedGRPOTrainer(GRPOTrainer):
    """TRL's GRPO trainer, shuffling whole groups where TRL shuffles answers.

    Attributes:
        asked: The rows of the data set whose answers were rewarded last, one per answer.
        watch: Called with these rows and the answers; what it returns is logged with the rewards.

    With several steps per generation TRL deals the answers out one by one, and hardly two answers
    to a prompt meet in a batch. Dealt out by group, each batch still holds random prompts, and
    computes each of them once.
    """

    asked: list[dict[str, Any]] = []
    watch: Callable[[list[dict[str, Any]], list], dict[str, float]] | None = None

    def _calculate_rewards(
        self, inputs: list, prompts: list, completions: list, *rest: Any
    ) -> torch.Tensor:
        self.asked = inputs
        mode = "train" if self.model.training else "eval"
        for name, value in (self.watch(inputs, completions) if self.watch else {}).items():
            self._metrics[mode][name].append(value)
        return super()._calculate_rewards(inputs, prompts, completions, *rest)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        module = trl.trainer.grpo_trainer
        original = module.shuffle_sequence_dict
        module.shuffle_sequence_dict = partial(shuffle_groups, size=self.num_generations)
        try:
            return super()._prepare_inputs(generation_batch)
        finally:
            module.shuffle_sequence_dict = original


def shuffle_groups(rows: dict[str, Any], size: int) -> dict[str, Any]:
    """Permute groups of `size` consecutive rows in every tensor and list alike."""
    count = next(len(v) for v in rows.values() if v is not None and not _scalar(v))
    order = torch.randperm(count // size)
    moved = (order[:, None] * size + torch.arange(size)).flatten()

    def move(value: Any) -> Any:
        if value is None or _scalar(value):
            return value
        return value[moved] if isinstance(value, torch.Tensor) else [value[i] for i in moved]

    return {name: move(value) for name, value in rows.items()}


def _scalar(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 0
