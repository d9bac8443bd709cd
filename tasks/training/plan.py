"""One training in plain values, so that it can travel to every process that takes part."""

import importlib.util
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, ImportString

from tasks.running.errors import UserError


class Plan(BaseModel):
    """What is trained, how, on what, and where it goes; what for is the `Objective`'s.

    Attributes:
        model: Folder or Hugging Face id of the starting model.
        batch: Examples per optimiser step over all devices (GRPO: answers; DPO: pairs).
        out: Folder for the trained model.
        scratch: Folder for checkpoints, which a killed training continues from.
        run_id: MLflow run that metrics go to; empty to log nowhere.
        watched: The reward that greedy looks at held-out questions are scored by; with it, `dev`
            holds questions, and the best look's weights are kept. None: looks as TRL takes them.
        look_tokens: Longest answer of a look.
        section: The section of the settings that the training follows, for what users are told.
        keep_last: Folder for the last step's model, beside the best look's; empty for none.
        tower_states: Folder of what a frozen vision tower has made of pictures before
            (`TowerMemory.write`); empty for none.
        check: Train three steps only and forecast the rest (see `tasks/training/meter.py`).

    The other fields are those of `tasks.settings.Trainer`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    steps: int
    batch: int
    out: str
    scratch: str
    run_id: str
    seed: int
    device: str
    watched: ImportString[Callable] | None = None
    look_tokens: int = 0
    section: str = ""
    keep_last: str = ""
    tower_states: str = ""
    rate_per_hour: float = 0.0
    check: bool = False
    precision: str = "32-true"
    devices: int = 1
    nodes: int = 1
    rendezvous: str = ""
    strategy: str = "auto"
    accumulate: int = 1
    gradient_checkpointing: bool = False
    freeze_vision: bool = False
    lora_rank: int = 0
    lora_alpha: int = 0
    lora_vision: bool = False
    schedule: str = "linear"
    evaluate_every: int = 0
    patience: int = 0
    evaluated: int = 64
    vllm: str = "none"
    vllm_server: str = ""

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.nodes

    @property
    def on_cpu(self) -> bool:
        """True if the processes compute on a CPU, by choice or for want of a GPU."""
        import torch

        return self.device == "cpu" or not torch.cuda.is_available()

    @property
    def micro_batch(self) -> int:
        """Examples that a device computes at once."""
        return self.batch // (self.processes * self.accumulate)

    def check_machine(self) -> None:
        """Raise a UserError that names everything this machine lacks for the plan."""
        import torch

        lacks = []
        if self.batch % (parts := self.processes * self.accumulate):
            lacks.append(
                f"a step of {self.batch} cannot be divided into {parts} parts (`trainer.devices` x "
                "`trainer.nodes` x `trainer.accumulate`)"
            )
        if self.device == "gpu" and not torch.cuda.is_available():
            lacks.append("`device` is gpu, but torch.cuda.is_available() is false")
        if self.device != "cpu" and 0 < torch.cuda.device_count() < self.devices:
            lacks.append(
                f"`trainer.devices` is {self.devices}, but there are {torch.cuda.device_count()}"
            )
        if self.vllm != "none" and importlib.util.find_spec("vllm") is None:
            lacks.append(f"`trainer.vllm` is {self.vllm}, but the package vllm is not installed")
        if self.strategy.startswith("deepspeed") and importlib.util.find_spec("deepspeed") is None:
            lacks.append(
                f"`trainer.strategy` is {self.strategy}, but the package deepspeed is not installed"
            )
        if lacks:
            raise UserError(
                "This machine cannot train as planned",
                "; ".join(lacks),
                "change these settings, or install what is missing (`pip install vllm deepspeed`)",
            )
