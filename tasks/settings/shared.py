"""What flows have in common: how models are trained, measured, and on which device."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from tasks.settings.fields import Data, MaxNewTokens, Model, Patience, PerTask, Processes
from tasks.settings.section import Section

Strategy = Literal["auto", "ddp", "deepspeed_stage_1", "deepspeed_stage_2"]


class Trainer(Section):
    """How models are trained, the same for every training stage."""

    devices: int = Field(1, ge=1, le=64, description="GPUs of a node, or processes on a CPU")
    nodes: int = Field(1, ge=1, description="Machines that train together, with a shared folder")
    precision: Literal["32-true", "bf16-mixed", "bf16-true"] = Field(
        "32-true", description="Numbers that training computes in"
    )
    strategy: Strategy = Field(
        "auto", description="How devices share the work; auto is ddp on several"
    )
    accumulate: int = Field(
        1,
        ge=1,
        title="Gradient accumulation",
        description="Parts a step's batch is computed in, one after another, to fit memory",
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute activations again in the backward pass: less memory, slower"
    )
    freeze_vision: bool = Field(False, description="Leave the vision tower as it is")
    lora_rank: int = Field(
        0, ge=0, le=1024, title="LoRA rank", description="Rank of a LoRA adapter (0: all weights)"
    )
    lora_alpha: int = Field(
        0, ge=0, le=4096, title="LoRA alpha", description="How much it counts (0: twice the rank)"
    )
    lora_vision: bool = Field(
        False, title="LoRA on the vision tower", description="Adapt the vision tower too"
    )
    schedule: Literal["linear", "cosine"] = Field(
        "linear", description="How the rate of fine-tuning and of DPO falls to zero"
    )
    evaluate_every: int = Field(
        0,
        ge=0,
        title="Steps between looks",
        description="At held-out examples (0: never)",
    )
    patience: Patience = 0
    evaluated: int = Field(
        64, ge=1, title="Examples per look", description="Held out, of those that there are"
    )
    vllm: Literal["none", "server", "colocate"] = Field(  # YAML reads off and no as false
        "none",
        title="vLLM",
        description="Sample GRPO's answers with vLLM: on a server, or on the training GPUs",
    )

    @field_validator("strategy", mode="before")
    @classmethod
    def _whole_weights(cls, value: object) -> object:
        if value == "deepspeed_stage_3":  # offered until 28 November 2026, and always refused
            raise ValueError(
                "deepspeed_stage_3 would sample answers from, and save, one shard of the weights; "
                "use deepspeed_stage_2, with a LoRA adapter where memory is short"
            )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Trainer":
        mistakes = []
        if self.freeze_vision and self.lora_vision:
            mistakes.append("freeze_vision and lora_vision contradict each other; keep one")
        if self.patience and self.strategy.startswith("deepspeed"):
            mistakes.append("patience cannot keep the best look under deepspeed; use ddp")
        if self.patience and not self.evaluate_every:
            mistakes.append("patience needs evaluate_every above 0")
        for name in ("lora_vision", "lora_alpha"):
            if getattr(self, name) and not self.lora_rank:
                mistakes.append(f"{name} needs lora_rank above 0")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


class Benchmarks(Section):
    """Comparing the policies on held-out pictures."""

    per_task: PerTask = 60
    max_new_tokens: MaxNewTokens = 160
    resamples: int = Field(
        2000, ge=100, title="Bootstrap resamples", description="Behind each interval"
    )


class Machine(Section):
    """Where and at what price work is done: no result depends on it, so no stage does either."""

    processes: Processes = 1
    rendezvous: str = Field(
        "127.0.0.1:29500",
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="host:port of the first of `trainer.nodes`; on a private network",
    )
    vllm_server: str = Field(
        "http://127.0.0.1:8000", title="vLLM server", description="Address of the vLLM server"
    )
    rate_per_hour: float = Field(
        0.0, ge=0, title="Price per hour", description="Of one device, for the cost"
    )


class DataAndModel(Section):
    """What a chain works on."""

    data: Data = "data"
    model: Model = "outputs/base"


class Shared(Section):
    """Settings of every flow."""

    coordinates: int = Field(
        100,
        ge=0,
        title="Coordinate grid",
        description="Model writes boxes as 0..N of the picture (Qwen3-VL: 1000; 0: pixels)",
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="Where models run")
    seed: int = Field(0, ge=0, description="Of everything that is drawn")
    trainer: Trainer = Field(default=Trainer(), description="How models are trained")
    benchmarks: Benchmarks = Field(default=Benchmarks(), description="Held-out questions")
    machine: Machine = Field(default=Machine(), description="What changes no result")

    @model_validator(mode="after")
    def _batches_can_be_divided(self) -> "Shared":
        parts = self.trainer.devices * self.trainer.nodes * self.trainer.accumulate
        told = f"{self.trainer.devices} devices x {self.trainer.nodes} nodes x accumulate "
        told += f"{self.trainer.accumulate} = {parts} parts"
        mistakes = []
        for name, section in self:
            if getattr(section, "batch", 0) % parts:
                mistakes.append(f"{name}.batch {section.batch} cannot be divided into {told}")
            if getattr(section, "prompts", 0) % parts:
                mistakes.append(
                    f"{name}.prompts {section.prompts} cannot be divided into {told}: a part must "
                    "hold whole groups of answers"
                )
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self
