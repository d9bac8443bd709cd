"""Settings of `flows/think.py`, UnifiedReward-Think (arXiv 2505.03318)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.records.judgements import TASKS, Task
from tasks.settings.fields import (
    Answers,
    Asked,
    Batch,
    Beta,
    Data,
    Limit,
    LookEvery,
    MaxNewTokens,
    Model,
    Patience,
    Prompts,
    Rate,
    Seeds,
    Share,
    Steps,
    Temperature,
    Test,
)
from tasks.settings.section import Section
from tasks.settings.shared import Shared

DirectShare = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        title="Share of bare verdicts",
        description="Asked and learnt without a trace; with none, that mode is forgotten",
    ),
]


class Traces(Section):
    """Reading pairs, and traces of a teacher about some of them."""

    data: Data = "outputs/thinking_world"
    who: Literal["data", "teacher"] = Field(
        "data", title="Traces of", description="The data (`details.trace`), or the teacher"
    )
    teacher: Asked = "outputs/base"
    shown_tasks: list[Task] = Field(
        list(TASKS),
        min_length=1,
        title="Tasks with traces",
        description="The paper shows those of image_generation alone; others take the form over",
    )
    most_traces: int = Field(400, ge=1, title="Traces", description="To learn from, at most")
    dimensions: list[str] = Field(
        [], description="To score (none: those of each pair, or the paper's for its task)"
    )
    temperature: Temperature = 0.7
    max_new_tokens: MaxNewTokens = 512
    limit: Limit = 0
    max_rejected_share: Share = 0.2


class ColdStart(Section):
    """Learning the form of a trace from a teacher's."""

    model: Model = "outputs/judge_start"
    steps: Steps = 80
    batch: Batch = 16
    learning_rate: Rate = 8e-4
    look_every: LookEvery = 40
    patience: Patience = 0
    looked_at: int = Field(
        80, ge=1, title="Pairs per look", description="Dev pairs, in both orders; the best is kept"
    )
    max_new_tokens: MaxNewTokens = 128


class Sampled(Section):
    """Rejection sampling: own traces that are right, and the pairs that are not."""

    most_pairs: int = Field(
        600, ge=1, title="Training pairs", description="To write traces about, at most"
    )
    traces_each: int = Field(
        4, ge=2, le=64, multiple_of=2, title="Traces per pair", description="Half in each order"
    )
    temperature: Temperature = 1.0
    most_per_source: int = Field(
        0, ge=0, title="Traces per source", description="Kept at most (0: all)"
    )
    keep_right: float = Field(
        0.15,
        ge=0,
        lt=1,
        title="Share of right pairs",
        description="Among those that are reinforced: many of the wrong ones are mislabelled",
    )


class ThinkSft(Section):
    """Fine-tuning on the traces that were kept."""

    steps: Steps = 80
    batch: Batch = 16
    learning_rate: Rate = 4e-4
    direct_share: DirectShare = 0.15
    look_every: LookEvery = 40
    patience: Patience = 0


class Thinker(Section):
    """Reinforcing verdicts on the pairs that were wrong."""

    steps: Steps = 60
    prompts: Prompts = 8
    answers: Answers = 8
    learning_rate: Rate = 5e-5
    beta: Beta = 0.04
    temperature: Temperature = 1.0
    top_p: float = Field(
        0.95, gt=0, le=1, title="Top p", description="What is sampled from, of the distribution"
    )
    direct_share: DirectShare = 0.15
    consistency_weight: float = Field(
        0.0, ge=0, title="Weight: consistency", description="Scores, sums and verdict that agree"
    )
    little_headroom: Literal["warn", "refuse"] = Field(
        "warn",
        title="Where there is little to elicit",
        description="GRPO: where sampled answers are hardly better than the greedy one",
    )
    look_every: LookEvery = 20
    patience: Patience = 0

    @model_validator(mode="after")
    def _both_orders_fit(self) -> "Thinker":
        if self.prompts % 2:
            raise ValueError("prompts must be even: a step asks both orders of each of its pairs")
        return self


class ThinkSheet(Section):
    """Saying what thinking brings, on held-out pairs."""

    asked_per_task: int = Field(
        120, ge=2, title="Judgements per task", description="Pairs, and points, at most"
    )
    votes: int = Field(5, ge=1, le=64, description="Sampled traces of a pair, of which most count")
    voted: int = Field(40, ge=1, title="Pairs voted on", description="Of each task, at most")


class UnifiedRewardThink(Section):
    """The experiment behind UnifiedReward-Think's claims, on the embedded default."""

    seeds: Seeds = 3
    pool: int = Field(300, ge=1, description="Pairs of each task, of each seed")
    cold_traces: int = Field(200, ge=1, description="Traces of the cold start")
    direct_steps: int = Field(100, ge=1, description="Of fine-tuning on bare verdicts")
    cold_steps: int = Field(60, ge=1, description="Of the cold start")
    sampled_steps: int = Field(60, ge=1, description="Of fine-tuning on sampled traces")
    grpo_steps: int = Field(40, ge=1, description="Optimiser steps of GRPO")
    direct_rate: float = Field(2e-4, gt=0, le=1, description="Rate of learning bare verdicts")
    sft_rate: float = Field(8e-4, gt=0, le=1, description="Rate of learning traces")
    grpo_rate: float = Field(5e-5, gt=0, le=1, description="Learning rate of GRPO")
    batch: Batch = 16
    prompts: Prompts = 8
    answers: Answers = 8
    test: Test = 100
    max_new_tokens: MaxNewTokens = 128


class ThinkSettings(Shared):
    """UnifiedReward-Think: a judge that scores and adds up before its verdict."""

    traces: Traces = Field(default=Traces(), title="Pairs and traces", description="Of a teacher")
    cold_start: ColdStart = Field(
        default=ColdStart(), title="Cold start", description="The form of a trace"
    )
    sampled: Sampled = Field(
        default=Sampled(), title="Rejection sampling", description="Own traces that are right"
    )
    think_sft: ThinkSft = Field(
        default=ThinkSft(), title="Fine-tuning", description="On own traces"
    )
    thinker: Thinker = Field(
        default=Thinker(), title="Reinforcement", description="Of verdicts, on what was wrong"
    )
    think_sheet: ThinkSheet = Field(
        default=ThinkSheet(), title="The sheet", description="What thinking brings"
    )
