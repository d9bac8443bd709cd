"""Settings of `flows/judge.py`, UnifiedReward (arXiv 2503.05236)."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.records.judgements import STYLES, TASKS, Style, Task
from tasks.settings.fields import (
    Asked,
    Batch,
    Data,
    Dev,
    Limit,
    LookEvery,
    MaxNewTokens,
    Model,
    Patience,
    PerTask,
    Rate,
    Seeds,
    Share,
    Steps,
    Temperature,
    Test,
)
from tasks.settings.section import Section
from tasks.settings.shared import Shared

CandidatesEach = Annotated[
    int,
    Field(ge=2, le=64, multiple_of=2, title="Answers per prompt", description="Ranked in pairs"),
]


class Judgements(Section):
    """Reading judgements of pairs and of points."""

    data: Data = "data"
    limit: Limit = 0
    max_rejected_share: Share = 0.2


class Judge(Section):
    """Training one model to judge, and the bars below which nobody should ask it."""

    model: Model = "outputs/base"
    taught_tasks: list[Task] = Field(
        list(TASKS), min_length=1, description="To be learnt together; one alone is a single judge"
    )
    styles: list[Style] = Field(
        list(STYLES), min_length=1, description="Which of two is better, and how good one is"
    )
    most_per_task: int = Field(
        0, ge=0, title="Judgements per task", description="In each style, to learn from (0: all)"
    )
    steps: Steps = 160
    batch: Batch = 16
    learning_rate: Rate = 2e-4
    look_every: LookEvery = 40
    patience: Patience = 0
    looked_at: int = Field(
        160, ge=1, title="Pairs per look", description="Dev pairs, in both orders; the best is kept"
    )
    max_new_tokens: MaxNewTokens = 32
    bar_accuracy: Share = Field(
        0.7, title="Bar: accuracy", description="Of dev pairs of each task, at least"
    )
    bar_consistency: Share = Field(
        0.7, title="Bar: consistency", description="Same winner in both orders, at least"
    )
    bar_unreadable: Share = Field(
        0.05, title="Bar: unreadable", description="Verdicts that cannot be read, at most"
    )


class ScalarJudge(Section):
    """Training a second form of the judge, which answers with a number, on the same pairs."""

    trained: bool = Field(
        False,
        title="Train this form as well",
        description="A head on the judge's start, by Bradley and Terry; the sheet shows both",
    )
    steps: Steps = 160
    batch: Batch = 16
    learning_rate: Rate = 2e-4


class JudgeSheet(Section):
    """Saying how far the judge can be trusted, on held-out judgements."""

    asked_per_task: int = Field(
        300, ge=2, title="Judgements per task", description="Pairs, and points, at most"
    )
    controls: int = Field(
        100,
        ge=2,
        title="Control pairs per task",
        description="Asked again without pictures, with others, with one candidate twice, …",
    )


class Preferred(Section):
    """Building preference pairs with the judge, from a policy's answers or a folder."""

    data: Data = "data"
    judge: Asked = "outputs/judge"
    mode: Literal["direct", "think"] = Field(
        "direct", description="Pairs are judged at once, or after a trace of scores"
    )
    trace_tokens: int = Field(
        1024, ge=1, title="Longest trace", description="Tokens at which a trace is cut off"
    )
    policy: Asked = "outputs/base"
    task: str = Field(
        "tell",
        min_length=1,
        title="Kind of questions",
        description="That the policy answers; not asked for where `data` has candidates.jsonl",
    )
    groups: int = Field(
        120, ge=1, title="Prompts", description="Each with its candidates; at most one pair of each"
    )
    candidates_each: CandidatesEach = 10
    temperature: Temperature = 1.0
    max_new_tokens: MaxNewTokens = 96
    construction: Literal["two_stage", "pair", "point", "random"] = Field(
        "two_stage", description="Rank and sift; or one stage alone; or, as a baseline, chance"
    )
    below_bar: bool = Field(
        False,
        title="Ask a judge below its bar",
        description="Refused otherwise; what is made says so",
    )


class JudgesTried(Section):
    """One judge of four tasks beside four judges."""

    seeds: Seeds = 3
    per_task: PerTask = 400
    joint_steps: Steps = 120
    pilot_steps: int = Field(
        240, ge=1, description="Of a joint judge of all judgements, that has to learn every task"
    )
    batch: Batch = 16
    learning_rate: Rate = 4e-4
    look_every: LookEvery = 30
    dev: Dev = 80
    test: Test = 100
    blind: int = Field(30, ge=1, description="Test pairs asked again without pictures")
    max_new_tokens: MaxNewTokens = 16


class PairsTried(Section):
    """Ways of making preference pairs with the joint judge, and what a policy learns of them."""

    seeds: Seeds = 3
    described: int = Field(128, ge=1, title="Pictures", description="Described by the policy")
    candidates_each: CandidatesEach = 10
    pairs_learnt: int = Field(80, ge=1, description="In every way of making them")
    dpo_steps: int = Field(30, ge=1, description="Optimiser steps of DPO")
    dpo_batch: int = Field(16, ge=1, description="Pairs per step")
    dpo_rate: float = Field(2.5e-5, gt=0, le=1, description="Learning rate of DPO")
    test: Test = 160
    max_new_tokens: MaxNewTokens = 96


class UnifiedReward(Section):
    """The experiment behind UnifiedReward's claim, on the embedded default."""

    judges: JudgesTried = Field(default=JudgesTried(), description="Joint and single-task judges")
    pairs: PairsTried = Field(default=PairsTried(), description="Preference pairs and DPO")


class JudgeSettings(Shared):
    """UnifiedReward: one judge for pictures and clips, described or generated."""

    judgements: Judgements = Field(default=Judgements(), description="Reading the data")
    judge: Judge = Field(default=Judge(), title="The judge", description="Training one model")
    scalar_judge: ScalarJudge = Field(
        default=ScalarJudge(), title="The scalar judge", description="A number for each candidate"
    )
    judge_sheet: JudgeSheet = Field(
        default=JudgeSheet(), title="The sheet", description="How far it can be trusted"
    )
    preferred: Preferred = Field(
        default=Preferred(), title="Preference pairs", description="Built with the judge"
    )
