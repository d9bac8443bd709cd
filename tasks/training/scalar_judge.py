"""Trains a judge that answers with one number, by the loss of Bradley and Terry (1952).

The better candidate of a pair is to get the higher number; only differences count. Each candidate
stands in a conversation of its own, the one that asks a judge that writes for a score, with its own
pictures.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from datasets import Dataset, Features
from transformers import PreTrainedModel
from trl import RewardConfig

from models.reward.scalar import VisualRewardTrainer, scalar_reward_model
from tasks.judging.wording import asked
from tasks.records.judgements import A, B, Judgement
from tasks.records.rows import PICTURES
from tasks.training.conversations import MESSAGES, pictures, user_turn
from tasks.training.fitting import fit
from tasks.training.objective import Objective, configured
from tasks.training.plan import Plan

SIDES = Features(
    {"chosen": MESSAGES, "images": PICTURES, "rejected": MESSAGES, "rejected_images": PICTURES}
)


class BradleyTerry(Objective):
    """A head on the last token, and the loss of pairs."""

    watches: ClassVar[tuple[str, Literal["min", "max"]]] = ("val/accuracy", "max")
    warmup_steps: int = 0

    def build(
        self, plan: Plan, network: PreTrainedModel, common: dict[str, Any], parts: dict[str, Any]
    ) -> VisualRewardTrainer:
        """Build TRL's trainer on a copy of the model that has a head."""
        config = configured(
            RewardConfig, **common, lr_scheduler_type=plan.schedule,
            warmup_steps=self.warmup_steps, max_length=None,
        )  # fmt: skip
        if adapter := parts["peft_config"]:
            adapter.modules_to_save = ["score"]  # of a fresh head there is nothing to adapt
        processor = parts.pop("processing_class")
        return VisualRewardTrainer(scalar_reward_model(network), config, processor, **parts)


def train_scalar_judge(
    pairs: Sequence[Judgement], plan: Plan, learning_rate: float, *, dev: Sequence[Judgement] = ()
) -> list[dict[str, float]]:
    """Train a judge's head on pairs with a winner; returns the learning curve.

    Args:
        dev: Held-out pairs, for looks in between.
    """
    loss = BradleyTerry(learning_rate=learning_rate, warmup_steps=min(10, plan.steps // 5))
    return fit(loss, plan, both_sides(pairs), both_sides(dev) if dev else None)


def both_sides(pairs: Sequence[Judgement]) -> Dataset:
    """Return the better and the worse candidate of each pair, as conversations with pictures.

    >>> both_sides([Judgement("1", "How many?", (), ("One.", "Two."), winner="B")])["chosen"][0]
    ... # doctest: +ELLIPSIS
    [{'role': 'user', 'content': '...Two...'}]
    """
    rows = []
    for pair in pairs:
        places = {A: (0, 1), B: (1, 0)}[pair.winner]
        [better], [worse] = (asked(pair.alone(side)) for side in places)
        rows.append({
            "chosen": user_turn(better.text), "images": pictures(better.images),
            "rejected": user_turn(worse.text), "rejected_images": pictures(worse.images),
        })  # fmt: skip
    return Dataset.from_list(rows, features=SIDES)
