"""What a training optimises: what differs between fine-tuning, DPO and GRPO."""

import json
import pkgutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L
import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from pydantic import BaseModel, ConfigDict
from transformers import PreTrainedModel, TrainingArguments

from models.engine.whole import write_whole
from models.vlm.loading import save_model
from models.vlm.picture_memory import remember_pictures, remember_tower
from tasks.asking.opening import open_model
from tasks.asking.preparing import context_of
from tasks.training.conversations import trainable
from tasks.training.looks import GreedyLooks
from tasks.training.meter import Meter
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
# of the language model only; peft's "all-linear" takes the vision tower in as well
LANGUAGE_PROJECTIONS = r".*(language_model|text_model).*\.(q|k|v|o|gate|up|down)_proj"


class Objective(BaseModel, ABC):
    """The values of one objective, and the TRL trainer that they make.

    Attributes:
        room: Tokens that an answer may take besides its prompt.
        watches: What looks at held-out examples are judged by, and which way is better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    watches: ClassVar[tuple[str, Literal["min", "max"]]] = ("val/loss", "min")

    learning_rate: float

    @property
    def room(self) -> int:
        return 0

    @abstractmethod
    def build(
        self, plan: Plan, network: PreTrainedModel, common: dict[str, Any], parts: dict[str, Any]
    ) -> transformers.Trainer:
        """Build the trainer.

        Args:
            network: The model to train.
            common: Fields of TRL's configuration that all objectives share.
            parts: Arguments of TRL's trainers: data, processor, adapter.
        """

    def save(self, network: torch.nn.Module, processor: Any, out: Path) -> None:
        """Write the trained model so that later stages open it."""
        if hasattr(network, "merge_and_unload"):  # an adapter: they open an ordinary model
            network = network.merge_and_unload()
        save_model(network, processor, out)

    def looks(self, plan: Plan, dev: Dataset | None, meter: Meter) -> GreedyLooks | None:
        """Return what looks at held-out examples and keeps the best step, where it is wanted."""
        return GreedyLooks(plan, dev, meter) if plan.watched and dev else None

    def callbacks(self, plan: Plan) -> list[L.Callback]:
        """Return what else looks on, besides what every training has."""
        return []

    def finish(self, callbacks: list[L.Callback], out: Path) -> None:
        """Write what those have kept beside the model."""


def build_trainer(
    objective: Objective, plan: Plan, data: Dataset, dev: Dataset | None
) -> transformers.Trainer:
    """Build the trainer in the process that will use it.

    Raises:
        UserError: The model cannot be opened, or there is nothing that it can be trained on.
    """
    network, processor = open_model(plan.model, weights_type(plan))
    context = context_of(network.config)
    data = trainable(data, processor, context, objective.room)
    dev = dev and trainable(dev, processor, context, objective.room)
    remember_pictures(processor)
    _prepare(network, plan)
    if plan.freeze_vision or (plan.lora_rank and not plan.lora_vision):
        memory = remember_tower(network)
        if memory and plan.tower_states:
            memory.take(sorted(Path(plan.tower_states).glob("*.safetensors")))
    common = {
        **TRL_DEFAULTS,
        "learning_rate": objective.learning_rate,
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
    return objective.build(plan, network, common, parts)


def weights_type(plan: Plan) -> torch.dtype:
    """Return what weights are loaded as; converted to it later, rotary frequencies would be too."""
    return torch.bfloat16 if plan.precision == "bf16-true" else torch.float32


def configured(kind: type[TrainingArguments], **fields: Any) -> TrainingArguments:
    """Return TRL's configuration for one device per process."""
    config = kind(**fields)
    # several GPUs in sight of one process would make TRL multiply the batch for DataParallel
    config._n_gpu = min(1, config.n_gpu)
    return config


def save_order(file: Path, objective: Objective, plan: Plan) -> None:
    """Write what is to be trained as JSON."""
    kind = type(objective)
    order = {
        "objective": f"{kind.__module__}:{kind.__qualname__}",
        "values": objective.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
    }
    write_whole(file, json.dumps(order, indent=1) + "\n")


def load_order(file: Path) -> tuple[Objective, Plan]:
    """Read what `save_order` wrote."""
    order = json.loads(file.read_text())
    kind = pkgutil.resolve_name(order["objective"])
    return kind.model_validate(order["values"]), Plan.model_validate(order["plan"])


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
    alpha = plan.lora_alpha or 2 * plan.lora_rank
    return LoraConfig(r=plan.lora_rank, lora_alpha=alpha, target_modules=targets)
