"""Builds the TRL trainer of a plan: which model, which objective, which rewards.

GRPO follows Visual-RFT (arXiv 2503.01785): original GRPO loss, KL weight 0.04, group-scaled
advantages, strictly on-policy.
"""

from typing import Any

import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedModel, TrainingArguments
from trl import DPOConfig, DPOTrainer, GRPOConfig, SFTConfig, SFTTrainer

from models.prefix.rollouts import GroupedGRPOTrainer, shared_rollouts
from models.prefix.shared import can_share_prefix
from models.vlm.picture_memory import remember_pictures
from tasks.asking.local import open_model
from tasks.asking.preparing import context_of
from tasks.rewards.verifiable import REWARDS, WEIGHTS
from tasks.running.errors import UserError
from tasks.training.conversations import trainable
from tasks.training.plan import Plan

# The same for every TRL trainer: Lightning and MLflow do the rest.
TRL_DEFAULTS: dict[str, Any] = {
    "bf16": False,
    "report_to": "none",
    "disable_tqdm": True,
    "save_strategy": "no",
    "logging_steps": 1,
    "optim": "adamw_torch",  # the fused one breaks clipping under bf16-mixed
    "gradient_checkpointing": False,  # switched on in the model itself, see `_prepare`
    "dataloader_pin_memory": False,
    "remove_unused_columns": False,
}
# the papers' GRPO; TRL's defaults differ in each of these
PAPER_GRPO = {
    "loss_type": "grpo",
    "scale_rewards": "group",
    "num_iterations": 1,
    "use_bias_correction_kl": False,
    "top_k": 0,
}
# of the language model only; peft's "all-linear" takes the vision tower in as well
LANGUAGE_PROJECTIONS = r".*(language_model|text_model).*\.(q|k|v|o|gate|up|down)_proj"

# what a look at held-out examples is judged by, and which way is better
WATCHED = {"sft": ("val/loss", "min"), "dpo": ("val/loss", "min"), "grpo": ("val/reward", "max")}


def build_trainer(plan: Plan, data: Dataset, dev: Dataset | None) -> transformers.Trainer:
    """Build the trainer in the process that will use it.

    Raises:
        UserError: The model cannot be opened, or there is nothing that it can be trained on.
    """
    # loaded in bfloat16 and not converted to it: rotary frequencies stay in float32
    dtype = torch.bfloat16 if plan.precision == "bf16-true" else torch.float32
    network, processor = open_model(plan.model, dtype)
    room = plan.options.get("max_completion_length", 0)
    context = context_of(network.config)
    data = trainable(data, processor, context, room)
    dev = dev and trainable(dev, processor, context, room)
    remember_pictures(processor)
    _prepare(network, plan)
    common = {
        **TRL_DEFAULTS,
        **plan.options,
        "output_dir": f"{plan.scratch}/trl",
        "use_cpu": plan.device == "cpu",
        "max_steps": plan.steps,
        "per_device_train_batch_size": plan.micro_batch,
        "per_device_eval_batch_size": plan.micro_batch,
        "gradient_accumulation_steps": plan.accumulate,
        "seed": plan.seed,
    }
    parts = {
        "train_dataset": data,
        "eval_dataset": dev,
        "processing_class": processor,
        "peft_config": _adapter(plan),
    }
    match plan.method:
        case "sft":
            return SFTTrainer(network, _config(SFTConfig, **common, max_length=None), **parts)
        case "dpo":
            # without its adapter the policy is the reference
            reference = None if plan.lora_rank else open_model(plan.model, dtype)[0]
            config = _config(DPOConfig, **common, max_length=None)
            return DPOTrainer(network, reference, config, **parts)
        case "grpo":
            prompts = plan.batch // plan.options["num_generations"]
            enough_questions(len(data), prompts, plan.section)
            rewards = plan.rewards or WEIGHTS
            share = plan.vllm == "none" and can_share_prefix(network)
            return GroupedGRPOTrainer(
                network,
                [REWARDS[name] for name in rewards],
                _config(
                    GRPOConfig,
                    **common,
                    **PAPER_GRPO,
                    **_vllm(plan),
                    # a generation batch of whole groups in every process
                    steps_per_generation=plan.accumulate,
                    reward_weights=list(rewards.values()),
                ),
                rollout_func=shared_rollouts if share else None,
                **parts,
            )
    raise ValueError(f"unknown method {plan.method!r}")


def enough_questions(there: int, prompts: int, section: str) -> None:
    """Check that a step of GRPO can be taken.

    Raises:
        UserError: There are fewer questions than a step asks.
    """
    if there < prompts:
        setting = f"`{section}.prompts`" if section else "the questions per step (`prompts`)"
        raise UserError(
            f"There are {there} questions, and a step asks {prompts}",
            "a step asks different questions, so no step could be taken",
            f"lower {setting}, or give more data",
        )


def _config(kind: type[TrainingArguments], **fields: Any) -> TrainingArguments:
    config = kind(**fields)
    # several GPUs in sight of one process would make TRL multiply the batch for DataParallel
    config._n_gpu = min(1, config.n_gpu)
    return config


def _vllm(plan: Plan) -> dict[str, Any]:
    if plan.vllm == "none":
        return {}
    chosen: dict[str, Any] = {"use_vllm": True, "vllm_mode": plan.vllm}
    return chosen | ({"vllm_server_base_url": plan.vllm_server} if plan.vllm == "server" else {})


def _prepare(network: PreTrainedModel, plan: Plan) -> None:
    if plan.gradient_checkpointing:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    if plan.freeze_vision:
        for name, parameter in network.named_parameters():
            if "visual" in name or "vision" in name:
                parameter.requires_grad_(False)


def _adapter(plan: Plan) -> LoraConfig | None:
    if not plan.lora_rank:
        return None
    targets = "all-linear" if plan.lora_vision else LANGUAGE_PROJECTIONS
    return LoraConfig(r=plan.lora_rank, lora_alpha=2 * plan.lora_rank, target_modules=targets)
