"""Reward models that look at pictures and answer with one number, trained on pairs.

TRL's RewardTrainer 1.16 drops the pictures when it is given a tokenizer, and fails when it is given
a processor. The subclass here keeps TRL's loss (Bradley-Terry) and takes its batches from TRL's own
vision collator for preferences.
"""

import copy
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLPreTrainedModel,
    Qwen3VLPreTrainedModel,
)
from transformers.modeling_layers import GenericForSequenceClassification
from trl import RewardConfig, RewardTrainer
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference


class Qwen2_5_VLForReward(GenericForSequenceClassification, Qwen2_5_VLPreTrainedModel):
    """A Qwen2.5-VL with a linear head on its last token."""


class Qwen3VLForReward(GenericForSequenceClassification, Qwen3VLPreTrainedModel):
    """A Qwen3-VL with a linear head on its last token."""


HEADS = {"qwen2_5_vl": Qwen2_5_VLForReward, "qwen3_vl": Qwen3VLForReward}


def scalar_reward_model(model: PreTrainedModel) -> PreTrainedModel:
    """Put a fresh head on a copy of a vision-language model.

    Raises:
        ValueError: Another family than Qwen2.5-VL or Qwen3-VL.
    """
    if model.config.model_type not in HEADS:
        raise ValueError(
            f"a scalar reward model of a {model.config.model_type} is not built yet: "
            f"choose one of {', '.join(HEADS)}, or train a generative reward model"
        )
    config = copy.deepcopy(model.config)
    config.num_labels = 1
    attention = config.vision_config._attn_implementation
    config.vision_config._attn_implementation = (
        "sdpa"  # models/vlm/attention.py's cannot be built from
    )
    scorer = HEADS[config.model_type](config)
    scorer.config.vision_config._attn_implementation = attention
    scorer.model.load_state_dict(model.model.state_dict())
    return scorer.to(model.dtype)


class VisualRewardTrainer(RewardTrainer):
    """TRL's RewardTrainer on preference rows with pictures (`prompt`, `chosen`, ..., `images`)."""

    def __init__(
        self, model: PreTrainedModel, args: RewardConfig, processor: ProcessorMixin, **rest: Any
    ):
        collator = DataCollatorForVisionPreference(processor=processor, max_length=None)
        super().__init__(
            model, args, processing_class=processor.tokenizer, data_collator=collator, **rest
        )

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset  # the collator does it all

    def compute_loss(self, model: PreTrainedModel, inputs: dict[str, Any], **settings: Any) -> Any:
        inputs.pop("completion_mask", None)  # a score is of the whole answer
        return super().compute_loss(model, inputs, **settings)


@torch.no_grad()
def scores(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return one score per row, [rows]; only differences between answers to a question matter."""
    return model(**inputs).logits[:, 0].float()
