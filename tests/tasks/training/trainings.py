"""Small trainings in the words of the tests: the values of objective and plan side by side."""

from typing import Any

from tasks.questions import rewards_of
from tasks.training.grpo import Grpo, train_grpo
from tasks.training.plan import Plan
from tasks.training.sft import Sft, train_sft


def fine_tuned(rows, *, learning_rate, warmup_steps=0, dev=(), looks=None, **plan) -> list[dict]:
    sft = Sft(learning_rate=learning_rate, warmup_steps=warmup_steps)
    return train_sft(rows, sft, Plan(**plan), dev=dev, looks=looks)


def grpo(samples=(), rewards=None, **values: Any) -> Grpo:
    """Return an objective of short answers; `values` are its fields."""
    short = {
        "answers": 4, "learning_rate": 1e-3, "beta": 0.0, "temperature": 1.0, "max_new_tokens": 6,
    }  # fmt: skip
    paid = rewards_of(samples) if rewards is None else rewards
    return Grpo(rewards=tuple(paid), **short | values)


def reinforced(samples, dev, *, coordinates, prompts, **values) -> list[dict]:
    of_plan = {name: values.pop(name) for name in list(values) if name in Plan.model_fields}
    objective = grpo(samples, **values)
    plan = Plan(batch=prompts * objective.answers, **of_plan)
    return train_grpo(samples, objective, plan, coordinates=coordinates, dev=dev)
