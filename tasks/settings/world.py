"""Settings of the stages that made the embedded default (shipped; nobody has to run them)."""

from typing import Annotated

from pydantic import Field

from tasks.settings.fields import Dev, NearMisses, PerTask, Processes, Rate, Steps
from tasks.settings.section import Section


class Base(Section):
    """Pretraining of the embedded tiny model (shipped; nobody has to run it)."""

    steps: Steps = 4800
    perception_share: float = Field(
        0.3125, ge=0, le=1, description="Share of the steps that only ask plain questions on scenes"
    )
    learning_rate: Rate = 2.5e-3
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
    layers: int = Field(4, ge=1, le=64, description="Of the model, and of its tower")
    processes: Processes = 2
    compile: bool = Field(True, description="1.2 times as fast; needs a C compiler")
    asked: int = Field(4800, ge=1, description="Held-out questions at the end")


Taught = Annotated[
    list[str],
    Field(title="Taught tasks", description="Those in which the model may differ from the base"),
]


class Training(Section):
    """A short training that goes on from the base."""

    steps: Steps = 300
    learning_rate: Rate = 1e-3
    hold: float = Field(0.2, ge=0, lt=1, description="Share of the steps before the rate falls")
    processes: Processes = 2
    per_task: PerTask = 20
    forgets: float = Field(
        0.02, ge=0, le=1, title="Gate: keeps", description="Largest loss on all other tasks"
    )


class Phase(Training):
    """One after which the model has a skill, and not the habit to show it."""

    dev: Dev = 64
    taught: Taught = []
    can: float = Field(
        0.5, ge=0, le=1, title="Gate: can", description="The best of 8 answers scores at least this"
    )
    does_not: float = Field(
        0.4, ge=0, le=1, title="Gate: does not", description="Its greedy answer scores at most this"
    )


class Habits(Phase):
    """Teaching the embedded base two new phrases, carelessly (shipped; nobody has to run it)."""

    taught: Taught = ["find", "tell"]


class GroundingHabits(Training):
    """Teaching the embedded base to read and to locate anywhere (shipped; nobody has to run it)."""

    steps: Steps = 1000
    learning_rate: Rate = 1.5e-3
    hold: float = Field(0.35, ge=0, lt=1, description="Share of the steps before the rate falls")
    per_task: PerTask = 40
    forgets: float = Field(
        0.01, ge=0, le=1, title="Gate: keeps", description="Largest loss on all other tasks"
    )


class CaptionHabits(Training):
    """Teaching the embedded base to caption from habit (shipped; nobody has to run it)."""

    steps: Steps = 700
    hold: float = Field(0.35, ge=0, lt=1, description="Share of the steps before the rate falls")
    per_task: PerTask = 40
    dev: Dev = 120
    forgets: float = Field(
        0.01, ge=0, le=1, title="Gate: keeps", description="Largest loss on all other tasks"
    )


class JudgingWorld(Section):
    """Drawing judgements whose truth is known (under a minute)."""

    train_items: int = Field(1200, ge=1, description="Items of each task and style")
    dev_items: int = Field(100, ge=1, description="Items of each task and style")
    test_items: int = Field(400, ge=1, description="Items of each task and style")


class JudgeStart(Training):
    """Teaching the embedded base to compare captions with pictures (shipped)."""

    steps: Steps = 1000
    learning_rate: Rate = 1.5e-3
    hold: float = Field(0.35, ge=0, lt=1, description="Share of the steps before the rate falls")
    per_task: PerTask = 40
    dev: Dev = 120
    forgets: float = Field(
        0.01, ge=0, le=1, title="Gate: keeps", description="Largest loss on all other tasks"
    )


class ThinkingWorld(Section):
    """Drawing pairs for a judge that thinks, with the traces of a flawed teacher (a minute)."""

    train_pairs: int = Field(2400, ge=1, description="Pairs of each task")
    dev_pairs: int = Field(100, ge=1, description="Pairs of each task")
    test_pairs: int = Field(225, ge=1, description="Pairs of each task")


class PageWorld(Section):
    """Drawing pages, and questions that one of them answers (half a minute)."""

    train_pages: int = Field(60, ge=1, description="Pages of each set, each with a question")
    dev_pages: int = Field(6, ge=1, description="Pages of each set, each with a question")
    test_pages: int = Field(20, ge=1, description="Pages of each set, each with a question")
    near_misses: NearMisses = 1


class PageRetriever(Section):
    """Teaching the embedded base to embed pages (shipped; nobody has to run it)."""

    steps: Steps = 1150
    learning_rate: Rate = 2e-3
    hold: float = Field(0.45, ge=0, lt=1, description="Share of the steps before the rate falls")
    processes: Processes = 2
    width: int = Field(64, ge=8, title="Numbers per vector", description="The paper's: 128")
    dev: Dev = 50
    near_misses: NearMisses = 1
