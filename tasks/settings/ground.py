"""Settings of `flows/ground.py`, GCoT (arXiv 2507.02859)."""

from typing import Annotated, Literal

from pydantic import Field

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
    Rate,
    Rates,
    Seeds,
    Share,
    Steps,
    Temperature,
    Test,
)
from tasks.settings.section import Section
from tasks.settings.shared import Shared

ChainsEach = Annotated[int, Field(ge=1, le=64, description="Chains per question")]


class Lessons(Section):
    """Choosing a few labelled questions, and distilling a chain of thought about each."""

    data: Data = "data"
    kinds: list[str] = Field(
        ["chart_value", "table_value", "receipt_value"],
        title="Kinds of questions",
        description="Tasks of the data to learn from (none: all with a short answer)",
    )
    examples: int = Field(16, ge=1, description="Labelled questions to learn from")
    dev: Dev = 32
    test: Test = 120
    chains: Literal["teacher", "data"] = Field(
        "teacher", description="Who reasons: the teacher, or the column `cot` of the data"
    )
    teacher: Asked = "outputs/base"
    words: Literal["think_with_boxes", "step_by_step"] = Field(
        "think_with_boxes",
        title="How reasoning is asked for",
        description="think_with_boxes is what the embedded model knows; step_by_step fits others",
    )
    chains_each: ChainsEach = 8
    temperature: Temperature = 0.7
    max_new_tokens: MaxNewTokens = 96
    limit: Limit = 0
    max_rejected_share: Share = 0.2


class Boxes(Section):
    """Finding the box of every fact, in rounds that read back, keep and train."""

    model: Model = "outputs/base"
    rounds: int = Field(3, ge=0, le=20, description="Trainings; a last pass follows them")
    verify: Literal["crop", "coordinates", "both"] = Field(
        "crop", title="Reading back", description="What is shown: the crop alone, or the whole page"
    )
    frame: Literal["grid", "square"] = Field(
        "grid",
        title="Box frame",
        description="That of `coordinates`, or decimals of the padded square (LLaVA, Visual-CoT)",
    )
    largest_share: float = Field(
        0.25, gt=0, le=1, title="Largest box", description="Share of the picture, at most"
    )
    crops: Literal["page", "zoomed"] = Field(
        "page", description="Laid on an empty page, or enlarged (models of dynamic resolution)"
    )
    margin: float = Field(0.25, ge=0, le=2, description="Around a crop, as a share of its box")
    tagger: str = Field(
        "pattern",
        pattern=r"^(pattern|spacy:[\w.-]+)$",
        description="Of words: TextBlob's lexicon, or an installed model of spaCy (spacy:<model>)",
    )
    from_base: bool = Field(
        True, title="Start anew", description="Every round trains the first model, not the last"
    )
    steps: Steps = 20
    batch: Batch = 16
    learning_rate: Rate = 2e-4


class Reasoner(Section):
    """Fine-tuning on the chains, with their boxes or without."""

    learns: Literal["grounded", "unverified", "chains", "answers"] = Field(
        "grounded",
        description="Chains with verified boxes, or a baseline: any boxes, none, answers alone",
    )
    unverified: Literal["leave", "ask_again", "drop"] = Field(
        "leave",
        title="Chains with an unverified fact",
        description="Keep them, take another attempt if all of its facts are verified, or drop",
    )
    origin: Literal["base", "last_round"] = Field(
        "base", title="Starts from", description="The first model, or that of the last round"
    )
    expansion: int = Field(
        0, ge=0, le=3, description="Own chains per question to learn from as well (0: none)"
    )
    steps: Steps = 30
    batch: Batch = 16
    learning_rate: Rate = 2e-4
    look_every: LookEvery = 10
    patience: Patience = 0


class Gcot(Section):
    """The experiment behind GCoT's claim: arms of six replicates."""

    seeds: Seeds = 2
    steps: Steps = 20
    batch: Batch = 16
    rates: Rates = [2e-4, 8e-4]
    rounds: int = Field(3, ge=0, le=20, description="Trainings; a last pass follows them")
    round_steps: int = Field(15, ge=1, description="Steps of each round's training")
    round_rate: float = Field(4e-4, gt=0, description="Rate of each round's training")
    pages: int = Field(40, ge=1, title="Held-out pages", description="Read back in every round")
    dev: Dev = 40
    test: Test = 60
    others: int = Field(1, ge=1, description="Of each of the base's other tasks")
    max_new_tokens: MaxNewTokens = 96


class GroundSettings(Shared):
    """GCoT: a model learns new documents from a few questions, by facts that carry boxes."""

    lessons: Lessons = Field(
        default=Lessons(), title="Labelled questions", description="Few, with chains of thought"
    )
    boxes: Boxes = Field(default=Boxes(), description="Of every fact, without annotation")
    reasoner: Reasoner = Field(default=Reasoner(), description="Learning to reason with boxes")
