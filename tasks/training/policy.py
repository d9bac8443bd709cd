"""Trains the policy: fine-tuning on kept syntheses, DPO on preferences, GRPO on computed rewards.

GRPO follows Visual-RFT (arXiv 2503.01785): original GRPO loss, KL weight 0.04, group-scaled
advantages, strictly on-policy. We differ in the weights of the rewards (2 overlap, 0.5 confidence,
1 format): with equal weights one confident box earns more than several uncertain right ones.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value
from trl import DPOConfig, DPOTrainer, GRPOConfig, SFTConfig

from models.rollouts import GroupedGRPOTrainer, shared_rollouts
from models.shared_prefix import can_share_prefix
from tasks.asking import open_model
from tasks.records import Sample
from tasks.rewards.detection import (
    honest_confidence,
    overlap_with_true_box,
    overlap_with_true_boxes,
)
from tasks.rewards.text import exact_answer, exact_final, thinks_then_answers
from tasks.training.conversations import (
    MESSAGES,
    PICTURES,
    assistant_turn,
    conversation_dataset,
    pictures,
    user_turn,
)
from tasks.training.fitting import TRL_DEFAULTS, fit
from tasks.training.reward_model import sft_trainer

# name: weight. A reward that does not apply to a question is None there and is left out.
REWARDS: dict[Callable, float] = {
    overlap_with_true_boxes: 2.0,
    honest_confidence: 0.5,
    thinks_then_answers: 1.0,
    overlap_with_true_box: 2.0,
    exact_answer: 1.0,
    exact_final: 1.0,
}
VERIFIABLE = (
    "tagged_detections",
    "box",
    "exact",
    "final",
)  # the metrics that these rewards compute


def train_sft(
    rows: Sequence[tuple[str, str, Sequence[bytes]]],
    *,
    model: str,
    steps: int,
    batch: int,
    learning_rate: float,
    scratch: Path,
    seed: int,
    device: str,
    **fitting: Any,
) -> list[dict[str, float]]:
    """Fine-tune on (prompt, answer, pictures) rows; returns the learning curve."""

    def build():
        network, processor = open_model(model)
        config = SFTConfig(
            **TRL_DEFAULTS,
            output_dir=str(scratch / "trl"),
            use_cpu=device == "cpu",
            max_steps=steps,
            per_device_train_batch_size=batch,
            learning_rate=learning_rate,
            lr_scheduler_type="linear",
            max_length=None,
            seed=seed,
        )
        return sft_trainer(network, processor, config, conversation_dataset(rows))

    return fit(build, steps=steps, scratch=scratch, seed=seed, device=device, **fitting)


def train_dpo(
    rows: Sequence[dict[str, Any]],
    *,
    model: str,
    steps: int,
    batch: int,
    learning_rate: float,
    beta: float,
    scratch: Path,
    seed: int,
    device: str,
    **fitting: Any,
) -> list[dict[str, float]]:
    """Optimise on preference rows (`prompt`, `images`, `chosen`, `rejected`)."""
    features = {"prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES, "images": PICTURES}
    data = Dataset.from_list(
        [
            {
                "prompt": user_turn(row["prompt"]),
                "chosen": assistant_turn(row["chosen"]),
                "rejected": assistant_turn(row["rejected"]),
                "images": pictures(row["images"]),
            }
            for row in rows
        ],
        features=Features(features),
    )

    def build():
        network, processor = open_model(model)
        reference, _ = open_model(model)
        config = DPOConfig(
            **TRL_DEFAULTS,
            output_dir=str(scratch / "trl"),
            use_cpu=device == "cpu",
            max_steps=steps,
            per_device_train_batch_size=batch,
            learning_rate=learning_rate,
            lr_scheduler_type="linear",
            beta=beta,
            max_length=None,
            seed=seed,
        )
        return DPOTrainer(
            network, reference, config, train_dataset=data, processing_class=processor
        )

    return fit(build, steps=steps, scratch=scratch, seed=seed, device=device, **fitting)


def train_grpo(
    samples: Sequence[Sample],
    *,
    model: str,
    frame: tuple[float, float],
    steps: int,
    prompts: int,
    answers: int,
    learning_rate: float,
    beta: float,
    temperature: float,
    max_new_tokens: int,
    scratch: Path,
    seed: int,
    device: str,
    **fitting: Any,
) -> list[dict[str, float]]:
    """Reinforce with verifiable rewards; returns the learning curve.

    Args:
        frame: The frame in which the model writes coordinates; true boxes are converted to it here.
        prompts: Questions per step, each answered `answers` times.
    """
    data = grpo_dataset(samples, frame)

    def build():
        network, processor = open_model(model)
        config = GRPOConfig(
            **TRL_DEFAULTS,
            output_dir=str(scratch / "trl"),
            use_cpu=device == "cpu",
            max_steps=steps,
            per_device_train_batch_size=prompts * answers,
            num_generations=answers,
            max_completion_length=max_new_tokens,
            learning_rate=learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=min(5, steps // 2),
            temperature=temperature,
            top_k=0,
            # the papers' GRPO; TRL's defaults differ in each of these
            loss_type="grpo",
            beta=beta,
            scale_rewards="group",
            num_iterations=1,
            use_bias_correction_kl=False,
            reward_weights=list(REWARDS.values()),
            seed=seed,
        )
        return GroupedGRPOTrainer(
            network, list(REWARDS), config, train_dataset=data, processing_class=processor,
            rollout_func=shared_rollouts if can_share_prefix(network) else None,
        )  # fmt: skip

    return fit(build, steps=steps, scratch=scratch, seed=seed, device=device, **fitting)


def grpo_dataset(samples: Sequence[Sample], frame: tuple[float, float]) -> Dataset:
    """Return prompts with the columns that the rewards read; None where a reward does not apply."""
    rows = [_grpo_row(sample, frame) for sample in samples]
    numbers = List(Value("float32"))
    features = {
        "prompt": MESSAGES,
        "images": PICTURES,
        "frame": numbers,
        "tagged": Value("bool"),
        "boxes": List(numbers),
        "box": numbers,
        "answer": Value("string"),
        "final": Value("string"),
    }
    return Dataset.from_list(rows, features=Features(features))


def _grpo_row(sample: Sample, frame: tuple[float, float]) -> dict[str, Any]:
    converted = [box.to(frame) for box in sample.boxes]
    corners = [[box.x0, box.y0, box.x1, box.y1] for box in converted]
    detects = sample.metric == "tagged_detections"
    return {
        "prompt": user_turn(sample.prompt),
        "images": pictures(sample.images),
        "frame": list(frame),
        "tagged": detects or sample.metric == "final",  # asked to think, then to answer
        "boxes": corners if detects else None,
        "box": corners[0] if sample.metric == "box" else None,
        "answer": sample.answer if sample.metric == "exact" else None,
        "final": sample.final if sample.metric == "final" else None,
    }
