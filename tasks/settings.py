"""Every setting in one place: the schema of `params.yaml`, of the Prefect form and of `--help`.

A field's description is its help text everywhere. Settings stop at `tasks/stages.py`: the functions
behind it take plain values.
"""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.running.errors import UserError

# A setting that names a folder on which the result depends: dvc.yaml has it as a dependency.
Refers = Literal["model", "data"]
Model, Data = Annotated[str, "model"], Annotated[str, "data"]
Form = TypeVar("Form", bound="Shared")
Strategy = Literal["auto", "ddp", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_3"]


class Section(BaseModel):
    """Refuses unknown fields, so that a misspelt setting is never silently ignored."""

    model_config = ConfigDict(
        extra="forbid",
        validate_default=True,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )


class Base(Section):
    """Pretraining of the embedded tiny model (shipped; nobody has to run it)."""

    steps: int = Field(4800, ge=1, description="Optimiser steps, each on 9 pictures per process")
    perception_share: float = Field(
        0.3125, ge=0, le=1, description="Share of the steps that only ask plain questions on scenes"
    )
    learning_rate: float = Field(2.5e-3, gt=0, description="Peak rate of Muon and AdamW")
    documents_steps: int = Field(
        1500, ge=1, description="Steps of the second cycle, with more documents"
    )
    judgement_steps: int = Field(
        600, ge=1, description="Steps of the third cycle, with more answers to judge"
    )
    refinement_steps: int = Field(
        1600, ge=1, description="Steps of the fourth cycle: close judgements, tables cell by cell"
    )
    consolidation_steps: int = Field(
        600, ge=1, description="Steps of the last cycle, with everything again"
    )
    later_learning_rate: float = Field(1e-3, gt=0, description="Peak rate of the later cycles")
    hidden: int = Field(192, ge=64, multiple_of=64, description="Width of the language model")
    layers: int = Field(4, ge=1, le=64, description="Layers of the language model and the tower")
    processes: int = Field(2, ge=1, le=64, description="Data-parallel processes")
    compile: bool = Field(True, description="Compile the model (needs a C compiler; 1.2x faster)")
    evaluated: int = Field(4800, ge=1, description="Held-out questions asked at the end")


class Intake(Section):
    """Reading the data set that the chain runs on."""

    max_rejected_share: float = Field(
        0.2,
        ge=0,
        le=1,
        title="Largest share set aside",
        description="The stage fails when more than this share is set aside",
    )
    limit: int = Field(
        0, ge=0, title="Most records", description="Read at most this many records (0: all)"
    )


class Synthesis(Section):
    """Chains of thought with boxes, and captions, written by the model itself."""

    questions: int = Field(
        240, ge=1, description="Chart, table and receipt questions to reason about"
    )
    attempts: int = Field(
        4, ge=1, le=64, title="Chains per question", description="Chains sampled per question"
    )
    captions: int = Field(160, ge=0, description="Pictures to caption")
    temperature: float = Field(0.7, gt=0, le=2, description="Sampling temperature")
    crop_margin: float = Field(
        0.2, ge=0, le=1, description="Margin around a box when its crop is shown for reading"
    )
    processes: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that answer at once, each with one thread and its own model, on "
        "CPUs; 1 is the stage itself with all threads",
    )


class RewardModel(Section):
    """Training one model to judge pairs and to score single answers."""

    steps: int = Field(160, ge=1, description="Optimiser steps")
    batch: int = Field(16, ge=1, title="Batch size", description="Judgements per step")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Peak learning rate (AdamW)")
    judged: int = Field(
        400,
        ge=2,
        title="Held-out judgements",
        description="Held-out judgements per kind at the end",
    )


class PolicySft(Section):
    """Fine-tuning on what synthesis kept."""

    steps: int = Field(40, ge=1, description="Optimiser steps")
    batch: int = Field(16, ge=1, title="Batch size", description="Examples per step")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="Peak learning rate (AdamW)")


class Preferences(Section):
    """Building preference pairs from the policy's own answers."""

    pictures: int = Field(240, ge=1, description="Pictures to describe")
    candidates: int = Field(
        8,
        ge=2,
        le=64,
        multiple_of=2,
        title="Answers per picture",
        description="Answers sampled per picture, ranked in pairs",
    )
    temperature: float = Field(1.0, gt=0, le=2, description="Sampling temperature")
    max_new_tokens: int = Field(
        96, ge=1, title="Longest answer", description="Longest answer in tokens"
    )


class PolicyDpo(Section):
    """Direct preference optimisation on those pairs."""

    steps: int = Field(60, ge=1, description="Optimiser steps")
    batch: int = Field(16, ge=1, title="Batch size", description="Pairs per step")
    learning_rate: float = Field(2.5e-5, gt=0, le=1, description="Peak learning rate (AdamW)")
    beta: float = Field(
        0.1, gt=0, title="KL weight", description="Strength of the leash to the starting model"
    )


class PolicyGrpo(Section):
    """Group-relative policy optimisation with rewards that can be computed."""

    tasks: list[str] = Field(
        ["find", "ground", "count"],
        title="Kinds of questions",
        description="Kinds of questions to reinforce",
    )
    steps: int = Field(160, ge=1, description="Optimiser steps")
    prompts: int = Field(8, ge=1, title="Questions per step", description="Questions per step")
    answers: int = Field(
        8,
        ge=2,
        title="Answers per question",
        description="Answers sampled per question (the group)",
    )
    learning_rate: float = Field(5e-5, gt=0, le=1, description="Learning rate (AdamW)")
    beta: float = Field(
        0.04, ge=0, title="KL weight", description="Weight of the KL leash to the starting model"
    )
    temperature: float = Field(1.0, gt=0, le=2, description="Sampling temperature")
    max_new_tokens: int = Field(
        112, ge=1, title="Longest answer", description="Longest answer in tokens"
    )


class Habits(Section):
    """Teaching the embedded base two new phrases, carelessly (shipped; nobody has to run it)."""

    steps: int = Field(300, ge=1, description="Optimiser steps, each on 9 pictures per process")
    learning_rate: float = Field(1e-3, gt=0, description="Peak rate of Muon and AdamW")
    processes: int = Field(2, ge=1, le=64, description="Data-parallel processes")
    per_task: int = Field(20, ge=1, description="Held-out questions of each kind at the end")


class Shots(Section):
    """Choosing the few labelled examples that a policy is reinforced on."""

    recipe: Literal["classification", "detection", "grounding", "open_vocabulary"] = Field(
        "detection", description="What to learn from few examples"
    )
    data: Data = Field(
        "outputs/few_shot_world",
        description="Folder of the data set (COCO, LVIS, class folders, RefCOCO, LISA, or our own)",
    )
    per_class: int = Field(
        2, ge=1, title="Examples per class", description="Labelled examples of each class"
    )
    base_classes: int = Field(
        4,
        ge=1,
        title="Known classes",
        description="Open vocabulary: classes to learn from; all others are tested",
    )
    novel_classes: list[str] = Field(
        [],
        title="Unseen classes",
        description="Open vocabulary: the classes to test, instead of drawing them by the seed",
    )
    dev: int = Field(
        64, ge=1, title="Dev questions", description="Held-out questions that choose the best step"
    )
    test: int = Field(
        320, ge=1, title="Test questions", description="Held-out questions of the benchmark"
    )
    limit: int = Field(
        0, ge=0, title="Most records", description="Read at most this many records (0: all)"
    )
    max_rejected_share: float = Field(
        0.2,
        ge=0,
        le=1,
        title="Largest share set aside",
        description="The stage fails when more than this share is set aside",
    )


class Reinforced(Section):
    """Adapting a model to the chosen examples, by reinforcement or by fine-tuning."""

    method: Literal["grpo", "sft"] = Field(
        "grpo", description="Reinforcement, or its baseline: fine-tuning on the same examples"
    )
    model: Model = Field(
        "outputs/habits", description="Folder or Hugging Face id of the model to start from"
    )
    instructions: bool = Field(
        False,
        title="Instructions on the form",
        description="Add the form of the answer to each question (the embedded model knows)",
    )
    steps: int = Field(120, ge=1, description="Optimiser steps")
    prompts: int = Field(
        8, ge=1, title="Questions per step", description="Questions per step of GRPO"
    )
    answers: int = Field(
        8,
        ge=2,
        title="Answers per question",
        description="Answers sampled per question (the group)",
    )
    batch: int = Field(16, ge=1, title="Batch size", description="Examples per step of fine-tuning")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="Learning rate (AdamW)")
    beta: float = Field(
        0.04, ge=0, title="KL weight", description="Weight of the KL leash to the starting model"
    )
    temperature: float = Field(1.0, gt=0, le=2, description="Sampling temperature")
    max_new_tokens: int = Field(
        112, ge=1, title="Longest answer", description="Longest answer in tokens"
    )
    overlap_weight: float = Field(
        2.0, ge=0, title="Weight: overlap", description="Weight of the overlap reward"
    )
    confidence_weight: float = Field(
        0.5, ge=0, title="Weight: confidence", description="Weight of the confidence reward"
    )
    class_weight: float = Field(
        1.0, ge=0, title="Weight: class", description="Weight of the reward for the right class"
    )
    format_weight: float = Field(
        1.0, ge=0, title="Weight: format", description="Weight of the format reward"
    )
    grounding_reward: Literal["giou", "iou"] = Field(
        "giou", description="Grounding: GIoU + 1 (a near miss earns more than a far one), or IoU"
    )
    thoughts: bool = Field(
        True,
        title="Imitate thoughts",
        description="Fine-tuning imitates thoughts as well, and not bare labels",
    )
    look_every: int = Field(
        10,
        ge=1,
        title="Steps between looks",
        description="Steps between looks at the dev questions",
    )
    patience: int = Field(
        0, ge=0, description="Stop after this many looks without gain (0: never); the best is kept"
    )


class VisualRft(Section):
    """The experiment behind Visual-RFT's claim, on the embedded default."""

    seeds: int = Field(3, ge=1, description="Seeds: other shots, other order, other answers")
    sft_steps: int = Field(40, ge=1, description="Steps of fine-tuning")
    sft_rates: list[float] = Field(
        [3e-5, 1e-4], description="Learning rates of fine-tuning; the best on dev counts"
    )
    grpo_steps: int = Field(80, ge=1, description="Steps of GRPO")
    grpo_rate: float = Field(5e-5, gt=0, le=1, description="Learning rate of GRPO")
    look_every: int = Field(10, ge=1, description="Steps between looks at the dev questions")
    prompts: int = Field(8, ge=1, description="Questions per step of GRPO")
    answers: int = Field(8, ge=2, description="Answers sampled per question (the group)")
    batch: int = Field(16, ge=1, description="Examples per step of fine-tuning")
    max_new_tokens: int = Field(96, ge=1, description="Longest answer in tokens")
    dev: int = Field(64, ge=1, description="Dev questions of a look")
    test: int = Field(160, ge=1, description="Test questions")
    known: int = Field(64, ge=1, description="Test questions about the classes that were known")
    per_task: int = Field(8, ge=1, description="Held-out questions of each other kind")
    processes: int = Field(2, ge=1, le=64, description="Arms that run at once, one thread each")


class Trainer(Section):
    """How models are trained, the same for every training stage."""

    devices: int = Field(1, ge=1, le=64, description="GPUs of a node, or processes on a CPU")
    nodes: int = Field(1, ge=1, description="Machines that train together, with a shared folder")
    rendezvous: str = Field(
        "127.0.0.1:29500",
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="host:port of the first machine, where others join it; on a private network",
    )
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
    lora_vision: bool = Field(
        False, title="LoRA on the vision tower", description="Adapt the vision tower too"
    )
    evaluate_every: int = Field(
        0,
        ge=0,
        title="Steps between looks",
        description="Steps between looks at held-out examples (0: never)",
    )
    patience: int = Field(
        0, ge=0, description="Stop after this many looks without gain and keep the best (0: never)"
    )
    evaluated: int = Field(
        64, ge=1, title="Examples per look", description="Held-out examples of a look"
    )
    vllm: Literal["none", "server", "colocate"] = Field(  # YAML reads off and no as false
        "none",
        title="vLLM",
        description="Sample GRPO's answers with vLLM: on a server, or on the training GPUs",
    )
    vllm_server: str = Field(
        "http://127.0.0.1:8000", title="vLLM server", description="Address of the vLLM server"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Trainer":
        mistakes = []
        if self.strategy == "deepspeed_stage_3":
            mistakes.append(
                "strategy deepspeed_stage_3 would sample answers from, and save, one shard of the "
                "weights; use deepspeed_stage_2, with a LoRA adapter where memory is short"
            )
        if self.freeze_vision and self.lora_vision:
            mistakes.append("freeze_vision and lora_vision contradict each other; keep one")
        if self.patience and self.strategy.startswith("deepspeed"):
            mistakes.append("patience cannot keep the best look under deepspeed; use ddp")
        if self.patience and not self.evaluate_every:
            mistakes.append("patience needs evaluate_every above 0")
        if self.lora_vision and not self.lora_rank:
            mistakes.append("lora_vision needs lora_rank above 0")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


class Benchmarks(Section):
    """Comparing the policies on held-out pictures."""

    per_task: int = Field(
        60, ge=1, title="Questions per kind", description="Held-out questions per kind of question"
    )
    max_new_tokens: int = Field(
        160, ge=1, title="Longest answer", description="Longest answer in tokens"
    )
    resamples: int = Field(
        2000,
        ge=100,
        title="Bootstrap resamples",
        description="Bootstrap resamples behind each interval",
    )


class Shared(Section):
    """Settings of every flow."""

    coordinates: int = Field(
        100,
        ge=0,
        title="Coordinate grid",
        description="Model writes boxes as 0..N of the picture (Qwen3-VL: 1000; 0: pixels)",
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="Where models run")
    seed: int = Field(0, ge=0, description="Seed of everything that is drawn")
    rate_per_hour: float = Field(
        0.0, ge=0, title="Price per hour", description="Price of one device-hour, for the cost"
    )
    trainer: Trainer = Field(default=Trainer(), description="How models are trained")
    benchmarks: Benchmarks = Field(default=Benchmarks(), description="Held-out questions")

    @model_validator(mode="after")
    def _batches_can_be_divided(self) -> "Shared":
        if isinstance(self, Settings):  # what fits one flow's machine need not fit another's sizes
            return self
        parts = self.trainer.devices * self.trainer.nodes * self.trainer.accumulate
        told = f"{self.trainer.devices} devices x {self.trainer.nodes} nodes x accumulate "
        told += f"{self.trainer.accumulate} = {parts} parts"
        mistakes = []
        for name, section in self:
            if name == "visual_rft":  # trains on one core, whatever the others do
                continue
            if getattr(section, "batch", 0) % parts:
                mistakes.append(f"{name}.batch {section.batch} cannot be divided into {told}")
            if name in ("policy_grpo", "reinforced") and section.prompts % parts:
                mistakes.append(
                    f"{name}.prompts {section.prompts} cannot be divided into {told}: a part must "
                    "hold whole groups of answers"
                )
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


class DataAndModel(Section):
    """What a chain works on."""

    data: Data = Field("data", min_length=1, description="Folder of the data set")
    model: Model = Field(
        "outputs/base",
        min_length=1,
        description="Folder, Hugging Face id (org/name or org/name@revision), or registered model "
        "(models:/policy@newest)",
    )


class AlignSettings(Shared, DataAndModel):
    """The whole chain: synthesis, reward model, preferences, policy, benchmarks."""

    intake: Intake = Field(default=Intake(), description="Reading the data")
    synthesis: Synthesis = Field(default=Synthesis(), description="Data synthesis")
    reward_model: RewardModel = Field(default=RewardModel(), description="Reward model")
    policy_sft: PolicySft = Field(
        default=PolicySft(), title="Policy: fine-tuning", description="Fine-tuning on syntheses"
    )
    preferences: Preferences = Field(default=Preferences(), description="Preference pairs")
    policy_dpo: PolicyDpo = Field(
        default=PolicyDpo(), title="Policy: DPO", description="Direct preference optimisation"
    )
    policy_grpo: PolicyGrpo = Field(
        default=PolicyGrpo(), title="Policy: GRPO", description="Reinforcement"
    )


class ReinforceSettings(Shared):
    """Visual-RFT: a policy from a few labelled pictures."""

    shots: Shots = Field(
        default=Shots(), title="Labelled examples", description="Few-shot examples"
    )
    reinforced: Reinforced = Field(
        default=Reinforced(), title="Training", description="Few-shot reinforcement"
    )


class Settings(AlignSettings, ReinforceSettings):
    """All settings, as params.yaml holds them."""

    base: Base = Field(default=Base(), description="Embedded tiny model")
    habits: Habits = Field(default=Habits(), description="Embedded few-shot model")
    visual_rft: VisualRft = Field(default=VisualRft(), description="Visual-RFT experiment")

    def part(self, form: type[Form]) -> Form:
        """Return the settings of one flow."""
        return form.model_validate(self.model_dump(include=set(form.model_fields)))

    def with_part(self, part: Shared) -> "Settings":
        """Return all settings with those of one flow that were given; others stay in force.

        A form that was filled in part (as JSON, in Prefect's UI) does not mean the defaults.
        """
        values = self.model_dump()
        lay_over(values, part.model_dump(exclude_unset=True))
        return Settings.model_validate(values)


def referring(form: type[BaseModel], to: Refers, prefix: str = "") -> Iterator[str]:
    """Yield the names of the settings that refer to a model or a data set, with their sections.

    >>> list(referring(ReinforceSettings, "model"))
    ['reinforced.model']
    """
    for name, field in form.model_fields.items():
        if to in field.metadata:
            yield prefix + name
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from referring(field.annotation, to, f"{prefix}{name}.")


def lay_over(values: dict[str, Any], above: dict[str, Any]) -> None:
    """Replace nested values by those above them."""
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            lay_over(values[name], value)
        else:
            values[name] = value


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        UserError: The file is missing or wrong; all mistakes are named at once, each unknown name
            with the nearest valid one.
    """
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing",
            "every stage reads its settings there",
            "restore it with `git checkout params.yaml`",
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML", str(error), "correct that line") from None
    return check_settings(values, str(path))


def check_settings(values: object, source: str, form: type[Form] = Settings) -> Form:  # type: ignore[assignment]
    """Validate settings from any source, of one flow or of all; see `load_settings`."""
    try:
        return form.model_validate(values)
    except ValidationError as error:
        mistakes = [_explain(dict(item), form) for item in error.errors()]
        raise UserError(
            f"{source} has {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}",
            "\n  - " + "\n  - ".join(mistakes),
            "correct them all and start again (`--help` lists the settings)",
        ) from None


def save_settings(settings: Settings, path: Path) -> None:
    """Write the settings in force; the file is left alone when it already says the same."""
    if not path.exists() or load_settings(path) != settings:
        written = path.with_suffix(".new")  # a kill leaves the old file or the new one
        written.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
        os.replace(written, path)


def _explain(item: dict, form: type[BaseModel]) -> str:
    location = [str(part) for part in item["loc"]]
    name = ".".join(location)
    if item["type"] == "value_error":  # settings that contradict each other
        return f"{name}: {item['msg']}".removeprefix(": ").replace("Value error, ", "")
    if item["type"] != "extra_forbidden":
        return f"{name} = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"
    section = form
    for part in location[:-1]:
        section = section.model_fields[part].annotation  # type: ignore[assignment]
    near = difflib.get_close_matches(location[-1], section.model_fields, n=1, cutoff=0.5)
    valid = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(section.model_fields)}"
    return f"{name}: there is no such setting; {valid}"
