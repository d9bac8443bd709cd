"""Samples the answers of a GRPO step with `models/prefix/sampling.py`, and keeps groups together.

`shared_rollouts` is what TRL calls a `rollout_func`: sampled answers follow the distribution that
training scores (tests/models/prefix/test_rollouts.py).
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import trl.trainer.grpo_trainer
from PIL import Image
from transformers import LogitsProcessorList
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation

from models.engine.whole import written_whole
from models.prefix.sampling import Draw, sample

# Nats per token between sampling and scoring, on average. float32 stays below 1e-4
# (tests/tasks/training/test_sight.py); the rest is room for bfloat16, and not measured there yet.
FAR = 0.2

Columns = dict[str, list]

# ---- what TRL calls ----------------------------------------------------------------------------


def shared_rollouts(prompts: list, trainer: GRPOTrainer) -> dict[str, Any]:
    """Answer a batch of conversations (TRL's `rollout_func`)."""
    distinct, owners = _distinct(prompts)
    device = trainer.accelerator.device
    inputs = prompt_inputs([prompts[i] for i in distinct], trainer)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
        ) as model,
        answering(model),
        trainer.accelerator.autocast(),
    ):
        answers = sample(
            model.get_base_model() if hasattr(model, "get_base_model") else model,
            inputs,
            torch.tensor(owners, device=device),
            max_new_tokens=trainer.max_completion_length,
            end_tokens=torch.tensor(trainer.eos_token_ids, device=device),
            draw=_drawn(_warpers(trainer)),
            scored_at=trainer.temperature,
        )
    ids = [
        row[seen.bool()].tolist()
        for row, seen in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    ]
    return {
        "prompt_ids": [ids[owner] for owner in owners],
        "completion_ids": answers.tokens,
        "logprobs": answers.log_probs,
    }


def prompt_inputs(prompts: list, trainer: GRPOTrainer) -> dict[str, torch.Tensor]:
    """Return the processor's tensors of conversations, padded on the left."""
    return dict(
        trainer.processing_class.apply_chat_template(
            prompts,
            chat_template=trainer.chat_template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
            **trainer.chat_template_kwargs,
        )
    )


def _drawn(warpers: LogitsProcessorList) -> Draw:
    def draw(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        return torch.multinomial(warpers(None, logits).softmax(-1), 1)[:, 0]

    return draw


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
def answering(model: torch.nn.Module) -> Iterator[None]:
    """Switch dropout off while a model in training answers."""
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
        scored: Log-probabilities of the last answers' tokens, as training scored them.
        watch: Called with these rows and the answers; what it returns is logged with the rewards.
        choose: Called with the rows that are to be answered; may return others in their place.
        testify: Called with the rows and the answers before these are rewarded; returns columns
            that the rewards read, and what is logged of them.

    With several steps per generation TRL deals the answers out one by one, and hardly two answers
    to a prompt meet in a batch. Dealt out by group, each batch still holds random prompts, and
    computes each of them once.
    """

    asked: list[dict[str, Any]] = []
    scored: torch.Tensor | None = None
    watch: Callable[[list[dict[str, Any]], list], dict[str, float]] | None = None
    choose: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None
    testify: Callable[[list[dict[str, Any]], list], tuple[Columns, dict[str, float]]] | None = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.choose and self.model.training:
            inputs = self.choose(inputs)
        return super()._generate_and_score_completions(inputs)

    def _calculate_rewards(
        self, inputs: list, prompts: list, completions: list, *rest: Any
    ) -> torch.Tensor:
        told: dict[str, float] = {}
        if self.testify:
            columns, told = self.testify(inputs, completions)
            inputs = [
                row | {name: values[i] for name, values in columns.items()}
                for i, row in enumerate(inputs)
            ]
        self.asked = inputs
        mode = "train" if self.model.training else "eval"
        told = told | (self.watch(inputs, completions) if self.watch else {})
        for name, value in told.items():
            self._metrics[mode][name].append(value)
        return super()._calculate_rewards(inputs, prompts, completions, *rest)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if torch.is_grad_enabled():
            self.scored = found[0].detach()
        return found

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        if self.model.training and self.scored is not None:
            self._compare(inputs)
        return loss

    def _compare(self, inputs: dict[str, Any]) -> None:
        """Log how far the scores of sampled answers are from those that they were sampled with.

        Strictly on-policy they are the same model's: a distance means that sampling and scoring do
        not see the same (the pictures, most often).

        Raises:
            FloatingPointError: They are too far apart; the batch is kept.
        """
        sampled = inputs.get("sampling_per_token_logps")
        if sampled is None:
            return
        apart = (self.scored - sampled)[inputs["completion_mask"].bool()].abs()
        if not len(apart):
            return
        mean, highest = apart.mean().item(), apart.quantile(0.99).item()
        self._metrics["train"]["sampling/distance"].append(mean)
        self._metrics["train"]["sampling/distance_p99"].append(highest)
        if not mean <= FAR:
            file = Path(self.args.output_dir) / f"batch_at_step_{self.state.global_step}.pt"
            with written_whole(file) as stream:
                torch.save({k: v for k, v in inputs.items() if k != "images"}, stream)
            raise FloatingPointError(
                f"answers are scored {mean:.3g} nats per token from how they were sampled at step "
                f"{self.state.global_step} (at most {FAR} is rounding): sampling and scoring do "
                f"not see the same, the pictures most often. The batch is in {file}"
            )

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
