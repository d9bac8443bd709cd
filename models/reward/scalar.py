"""Reward models that look at pictures and answer with one number, trained on pairs.

TRL's RewardTrainer 1.16 drops the pictures when it is given a tokenizer, and fails when it is given
a processor; its vision collator for preferences shows both sides the same pictures. The subclass
here keeps TRL's loss (Bradley-Terry) and gives each side its own: candidates may be pictures.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    BatchFeature,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLPreTrainedModel,
    Qwen3VLPreTrainedModel,
)
from transformers.modeling_layers import GenericForSequenceClassification
from trl import RewardConfig, RewardTrainer
from trl.data_utils import prepare_multimodal_messages


class Qwen2_5_VLForReward(GenericForSequenceClassification, Qwen2_5_VLPreTrainedModel):
    """A Qwen2.5-VL with a linear head on its last token."""


class Qwen3VLForReward(GenericForSequenceClassification, Qwen3VLPreTrainedModel):
    """A Qwen3-VL with a linear head on its last token."""


HEADS = {"qwen2_5_vl": Qwen2_5_VLForReward, "qwen3_vl": Qwen3VLForReward}


def scalar_reward_model(model: PreTrainedModel) -> PreTrainedModel:
    """Put a fresh head on a copy of a vision-language model; what is frozen stays so.

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
    for name, parameter in model.model.named_parameters():
        scorer.model.get_parameter(name).requires_grad_(parameter.requires_grad)
    if model.is_gradient_checkpointing:
        scorer.gradient_checkpointing_enable({"use_reentrant": False})
    scorer = scorer.to(model.dtype)
    # which rounds rotary frequencies as well; the model's own are kept in float32
    for name, buffer in model.model.named_buffers():
        scorer.model.get_buffer(name).data = buffer.clone()
    return scorer


class VisualRewardTrainer(RewardTrainer):
    """TRL's RewardTrainer on rows whose sides have pictures of their own (`PairCollator`)."""

    def __init__(
        self, model: PreTrainedModel, args: RewardConfig, processor: ProcessorMixin, **rest: Any
    ):
        collator = PairCollator(processor)
        super().__init__(
            model, args, processing_class=processor.tokenizer, data_collator=collator, **rest
        )
        self.processing_class = processor  # what is saved beside the model

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset  # the collator does it all


class PairCollator:
    """Makes a batch of rows with two sides: first all better ones, then all worse ones.

    A row has conversations `chosen` and `rejected` and their pictures, `images` and
    `rejected_images`. Without the latter it has one side alone.
    """

    def __init__(self, processor: ProcessorMixin):
        self.processor = processor

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> BatchFeature:
        sides = [
            prepare_multimodal_messages(row[side], images=row[shown])
            for side, shown in (("chosen", "images"), ("rejected", "rejected_images"))
            for row in rows
            if shown in row
        ]
        return self.processor.apply_chat_template(
            sides,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
        )


@torch.no_grad()
def scores(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return one score per row, [rows]; only differences between answers to a question matter.

    The last step in float32: in bfloat16 scores of 4 to 8 are 1/32 apart, and near ones equal.

    Args:
        inputs: Rows that are padded on the left.
    """
    last = model.model(**inputs).last_hidden_state[:, -1].float()
    return last @ model.score.weight[0].float()
