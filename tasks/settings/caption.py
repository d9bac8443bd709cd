"""Settings of `flows/caption.py`, ScaleCap (arXiv 2506.19848)."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tasks.settings.fields import Asked, Batch, Data, Limit, MaxNewTokens, Share, Steps
from tasks.settings.section import Section
from tasks.settings.shared import Shared

ALL = -1  # a budget without a limit


class Drafts(Section):
    """Drafting a caption of every picture, and keeping what the picture makes likelier."""

    data: Data = "outputs/caption_world"
    captioned: int = Field(64, ge=1, title="Pictures", description="To caption, at most; each once")
    captioner: Asked = "outputs/caption_habits"
    draft_request: str = Field(
        "Write a caption.", min_length=1, title="Request", description="What drafts answer"
    )
    rater: Asked = Field(
        "outputs/caption_habits",
        title="Rater",
        description="Scores texts with the picture and without it; of servers, vLLM can",
    )
    gap: Literal["logprob", "prob"] = Field(
        "logprob", description="Of a token's score with the picture and without (prob: published)"
    )
    reduction: Literal["max", "mean_topk", "mean", "min", "noun"] = Field(
        "mean_topk", description="Of a sentence's tokens (max: published)"
    )
    threshold: float = Field(0.0, description="A sentence is trusted above it")
    weighted: bool = Field(
        True, title="Important words alone", description="Nouns, verbs, numbers and the like count"
    )
    by_clause: bool = Field(
        False, title="Clauses", description="Keep and drop them alone, as the release does"
    )
    max_new_tokens: MaxNewTokens = 160
    limit: Limit = 0
    max_rejected_share: Share = 0.2


class Objects(Section):
    """Asking back about every object that a trusted sentence names."""

    writer: Asked = "tasks/world"
    prefix: str = Field(
        "Look closer at", min_length=1, title="Begin of a request", description="An object follows"
    )
    kinds_asked: list[Literal["look", "place"]] = Field(
        ["look", "place"], min_length=1, title="Asked about", description="Of every object"
    )
    most_objects: int = Field(20, ge=0, description="Asked about at most (0: all)")
    second_rating: bool = Field(False, description="Rate the answers, too")
    max_new_tokens: MaxNewTokens = 64


class Captions(Section):
    """Writing a caption for every budget, of the same answers."""

    budgets: list[Annotated[int, Field(ge=ALL, le=1000)]] = Field(
        [0, 2, ALL], min_length=1, description="Objects asked about, at most (-1: all)"
    )
    max_new_tokens: MaxNewTokens = 256

    @field_validator("budgets")
    @classmethod
    def _each_once(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("a budget stands there twice")
        return sorted(value, key=lambda budget: (budget == ALL, budget))


class CaptionAnswers(Section):
    """Letting captions stand in for their pictures: what can be answered from them alone."""

    reader: Asked = "tasks/world"
    asked_in_all: int = Field(
        400, ge=0, title="Questions", description="About the pictures captioned, at most (0: none)"
    )
    max_new_tokens: MaxNewTokens = 32


class ScaleCap(Section):
    """The experiment behind ScaleCap's claim, on the embedded default."""

    draws: int = Field(3, ge=1, description="Of test pictures; each arm captions all of them")
    in_a_draw: int = Field(200, ge=1, title="Pictures", description="Of a draw, and of dev")
    sampled_drafts: int = Field(8, ge=1, title="Samples", description="More drafts of a picture")
    writer: Asked = "tasks/world"
    steps: Steps = 40
    batch: Batch = 16
    rate: float = Field(4e-4, gt=0, le=1, description="Of the base that learns from captions")


class CaptionSettings(Shared):
    """ScaleCap: captions that get richer with their budget, and say what the model has seen."""

    drafts: Drafts = Field(default=Drafts(), description="And which sentences are trusted")
    objects: Objects = Field(default=Objects(), description="Asking back about them")
    captions: Captions = Field(default=Captions(), description="One for every budget")
    caption_answers: CaptionAnswers = Field(
        default=CaptionAnswers(), title="Captions for pictures", description="What they are worth"
    )
