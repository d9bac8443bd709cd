"""Fine-tuning: the cross-entropy of the answers, through TRL's SFTTrainer."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel
from trl import SFTConfig, SFTTrainer

from tasks.training.conversations import conversation_dataset
from tasks.training.fitting import fit
from tasks.training.objective import Objective, configured
from tasks.training.plan import Plan

Turn = tuple[str, str, Sequence[bytes]]  # prompt, answer, pictures


class Sft(Objective):
    """Fine-tuning, with a rate that falls."""

    warmup_steps: int = 0

    def build(
        self, plan: Plan, network: PreTrainedModel, common: dict[str, Any], parts: dict[str, Any]
    ) -> SFTTrainer:
        """Build TRL's trainer."""
        config = configured(
            SFTConfig,
            **common,
            lr_scheduler_type=plan.schedule,
            warmup_steps=self.warmup_steps,
            max_length=None,
        )
        return SFTTrainer(network, config, **parts)


def train_sft(
    rows: Sequence[Turn],
    sft: Sft,
    plan: Plan,
    *,
    dev: Sequence[Turn] = (),
    looks: Dataset | None = None,
) -> list[dict[str, float]]:
    """Fine-tune on (prompt, answer, pictures) rows; returns the learning curve.

    Args:
        dev: Held-out rows, whose loss is looked at in between.
        looks: Held-out questions (`tasks.training.grpo.grpo_dataset`) to look at instead, with
            `plan.watched`.
    """
    held_out = looks or (conversation_dataset(dev) if dev else None)
    return fit(sft, plan, conversation_dataset(rows), held_out)
