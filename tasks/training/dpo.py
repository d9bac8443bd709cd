"""Direct preference optimisation (arXiv 2305.18290), through TRL's DPOTrainer."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset, Features
from transformers import PreTrainedModel
from trl import DPOConfig, DPOTrainer

from tasks.asking.opening import open_model
from tasks.records.rows import PICTURES
from tasks.training.conversations import MESSAGES, assistant_turn, pictures, user_turn
from tasks.training.fitting import fit
from tasks.training.objective import Objective, configured, weights_type
from tasks.training.plan import Plan


class Dpo(Objective):
    """DPO, with a rate that falls.

    Attributes:
        beta: Weight of the leash to the starting model.
    """

    beta: float

    def build(
        self, plan: Plan, network: PreTrainedModel, common: dict[str, Any], parts: dict[str, Any]
    ) -> DPOTrainer:
        """Build TRL's trainer; without its adapter the policy is the reference."""
        reference = None if plan.lora_rank else open_model(plan.model, weights_type(plan))[0]
        config = configured(
            DPOConfig, **common, lr_scheduler_type=plan.schedule, beta=self.beta, max_length=None
        )
        return DPOTrainer(network, reference, config, **parts)


def train_dpo(
    rows: Sequence[dict[str, Any]], dpo: Dpo, plan: Plan, *, dev: Sequence[dict[str, Any]] = ()
) -> list[dict[str, float]]:
    """Optimise on preference rows (`prompt`, `images`, `chosen`, `rejected`).

    Args:
        dev: Held-out rows, for looks in between.
    """
    held_out = _preference_dataset(dev) if dev else None
    return fit(dpo, plan, _preference_dataset(rows), held_out)


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
