"""Trains the policy: fine-tuning on kept syntheses, DPO on preferences, GRPO on computed rewards.

Each function turns what a stage has into the data and the plan of one training. The further
arguments, `fitting`, are the fields of `tasks.training.plan.Plan` that all trainings share.
"""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset, Features, List, Value

from tasks.asking.coordinates import Coordinates
from tasks.records.rows import Sample
from tasks.rewards.verifiable import TAGGED, WEIGHTS
from tasks.training.conversations import (
    MESSAGES,
    PICTURES,
    assistant_turn,
    conversation_dataset,
    pictures,
    user_turn,
)
from tasks.training.fitting import fit
from tasks.training.methods import enough_questions
from tasks.training.plan import Plan


def train_sft(
    rows: Sequence[tuple[str, str, Sequence[bytes]]],
    *,
    learning_rate: float,
    warmup_steps: int = 0,
    dev: Sequence[tuple[str, str, Sequence[bytes]]] = (),
    looks: Dataset | None = None,
    **fitting: Any,
) -> list[dict[str, float]]:
    """Fine-tune on (prompt, answer, pictures) rows; returns the learning curve.

    Args:
        dev: Held-out rows, whose loss is looked at in between.
        looks: Held-out questions (see `grpo_dataset`) to look at instead, with `watched`.
    """
    options = {
        "learning_rate": learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": warmup_steps,
    }
    held_out = looks or (conversation_dataset(dev) if dev else None)
    return fit(Plan("sft", options=options, **fitting), conversation_dataset(rows), held_out)


def train_dpo(
    rows: Sequence[dict[str, Any]],
    *,
    learning_rate: float,
    beta: float,
    dev: Sequence[dict[str, Any]] = (),
    **fitting: Any,
) -> list[dict[str, float]]:
    """Optimise on preference rows (`prompt`, `images`, `chosen`, `rejected`).

    Args:
        dev: Held-out rows, for looks in between.
    """
    options = {"learning_rate": learning_rate, "lr_scheduler_type": "linear", "beta": beta}
    held_out = _preference_dataset(dev) if dev else None
    return fit(Plan("dpo", options=options, **fitting), _preference_dataset(rows), held_out)


def _preference_dataset(rows: Sequence[dict[str, Any]]) -> Dataset:
    features = {"prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES, "images": PICTURES}
    return Dataset.from_list(
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


def train_grpo(
    samples: Sequence[Sample],
    dev: Sequence[Sample],
    *,
    coordinates: Coordinates,
    prompts: int,
    answers: int,
    learning_rate: float,
    beta: float,
    temperature: float,
    max_new_tokens: int,
    **fitting: Any,
) -> list[dict[str, float]]:
    """Reinforce with verifiable rewards; returns the learning curve.

    Args:
        dev: Held-out samples, for looks in between.
        coordinates: What the model writes; true boxes are converted to it here.
        prompts: Questions per step, each answered `answers` times.

    Raises:
        UserError: There are fewer questions than a step asks.
    """
    enough_questions(len(samples), prompts, fitting.get("section", ""))
    options = {
        "num_generations": answers,
        "max_completion_length": max_new_tokens,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": min(5, fitting["steps"] // 2),
        "temperature": temperature,
        "beta": beta,
    }
    fitting = {"rewards": WEIGHTS, "look_tokens": max_new_tokens, **fitting}
    plan = Plan("grpo", options=options, batch=prompts * answers, **fitting)
    held_out = grpo_dataset(dev, coordinates) if dev else None
    return fit(plan, grpo_dataset(samples, coordinates), held_out)


def grpo_dataset(samples: Sequence[Sample], coordinates: Coordinates) -> Dataset:
    """Return prompts with the columns that the rewards read; None where a reward does not apply."""
    rows = [_grpo_row(sample, coordinates.frame(sample.size)) for sample in samples]
    numbers = List(Value("float32"))
    features = {
        "prompt": MESSAGES,
        "images": PICTURES,
        "frame": numbers,
        "tagged": Value("bool"),
        "boxes": List(numbers),
        "box": numbers,
        "pointed": numbers,
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
        "tagged": sample.metric in TAGGED,
        "boxes": corners if detects else None,
        "box": corners[0] if sample.metric == "box" else None,
        "pointed": corners[0] if sample.metric == "tagged_box" else None,
        "answer": sample.answer if sample.metric == "exact" else None,
        "final": sample.final if sample.metric == "final" else None,
    }
