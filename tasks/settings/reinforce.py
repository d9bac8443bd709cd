"""Settings of `flows/reinforce.py`, Visual-RFT (arXiv 2503.01785), and of its experiment."""

from typing import Literal

from pydantic import Field

from tasks.settings.fields import (
    Answers,
    Batch,
    Beta,
    Data,
    Dev,
    KlSchedule,
    Limit,
    LookEvery,
    MaxNewTokens,
    Model,
    Patience,
    PerTask,
    Prompts,
    Rate,
    Seeds,
    Share,
    SkipSettled,
    Steps,
    Temperature,
    Test,
)
from tasks.settings.section import Section
from tasks.settings.shared import Shared


class Shots(Section):
    """Choosing the few labelled examples that a policy is reinforced on."""

    recipe: Literal["classification", "detection", "grounding", "open_vocabulary"] = Field(
        "detection", description="What to learn from few examples"
    )
    data: Data = "outputs/few_shot_world"
    per_class: int = Field(2, ge=1, title="Examples per class", description="With their labels")
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
    dev: Dev = 64
    test: Test = 320
    limit: Limit = 0
    max_rejected_share: Share = 0.2


class Reinforced(Section):
    """Adapting a model to the chosen examples, by reinforcement or by fine-tuning."""

    method: Literal["grpo", "sft"] = Field(
        "grpo", description="Reinforcement, or its baseline: fine-tuning on the same examples"
    )
    model: Model = "outputs/habits"
    instructions: bool = Field(
        False,
        title="Instructions on the form",
        description="Ask for the form of the answer with each question (the embedded model knows)",
    )
    steps: Steps = 120
    prompts: Prompts = 8
    answers: Answers = 8
    batch: Batch = 16
    learning_rate: Rate = 5e-5
    beta: Beta = 0.04
    kl_schedule: KlSchedule = "constant"
    temperature: Temperature = 1.0
    max_new_tokens: MaxNewTokens = 112
    skip_settled: SkipSettled = False
    little_headroom: Literal["warn", "refuse"] = Field(
        "warn",
        title="Where there is little to elicit",
        description="GRPO: where sampled answers are hardly better than the greedy one",
    )
    overlap_weight: float = Field(
        2.0, ge=0, title="Weight: overlap", description="How much the overlap with true boxes pays"
    )
    confidence_weight: float = Field(
        0.5, ge=0, title="Weight: confidence", description="How much honest confidences pay"
    )
    class_weight: float = Field(
        1.0, ge=0, title="Weight: class", description="How much the right class pays"
    )
    format_weight: float = Field(
        1.0, ge=0, title="Weight: format", description="How much thinking, then answering pays"
    )
    facts_weight: float = Field(
        0.0,
        ge=0,
        title="Weight: facts",
        description="How much facts with a true box pay, in data that says what stands where",
    )
    objects_weight: float = Field(
        0.0,
        ge=0,
        title="Weight: objects",
        description="How much naming all that is there and nothing else pays, in data that says it",
    )
    grounding_reward: Literal["giou", "iou"] = Field(
        "giou", description="GIoU + 1 (a near miss earns more than a far one), or IoU"
    )
    thoughts: bool = Field(
        True,
        title="Imitate thoughts",
        description="Fine-tuning: on demonstrations that think, and not on bare labels",
    )
    look_every: LookEvery = 10
    patience: Patience = 0


class VisualRft(Section):
    """The experiment behind Visual-RFT's claim, on the embedded default."""

    seeds: Seeds = 3
    sft_steps: int = Field(40, ge=1, description="Optimiser steps of fine-tuning")
    sft_rates: list[float] = Field(
        [3e-5, 1e-4], description="Learning rates of fine-tuning; the best on dev counts"
    )
    grpo_steps: int = Field(80, ge=1, description="Optimiser steps of GRPO")
    grpo_rate: float = Field(5e-5, gt=0, le=1, description="Learning rate of GRPO")
    look_every: LookEvery = 10
    prompts: Prompts = 8
    answers: Answers = 8
    batch: Batch = 16
    max_new_tokens: MaxNewTokens = 96
    dev: Dev = 64
    test: Test = 160
    known: int = Field(64, ge=1, description="Test questions about the classes that were known")
    per_task: PerTask = 8


class ReinforceSettings(Shared):
    """Visual-RFT: a policy from a few labelled pictures."""

    shots: Shots = Field(default=Shots(), title="Labelled examples", description="Few are chosen")
    reinforced: Reinforced = Field(
        default=Reinforced(), title="Training", description="By few examples"
    )
