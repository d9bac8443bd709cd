"""Settings of `flows/retrieve.py`, Light-ColPali (arXiv 2506.04997)."""

from typing import Literal

from pydantic import Field

from tasks.settings.fields import (
    Batch,
    Data,
    Dev,
    LookEvery,
    Model,
    Patience,
    Rate,
    Rates,
    Seeds,
    Share,
    Steps,
)
from tasks.settings.section import Section
from tasks.settings.shared import Shared


class Pages(Section):
    """Reading pages of PDFs and pictures, and questions about them."""

    data: Data = "outputs/page_world"
    pixels: int = Field(
        73_728,
        ge=1024,
        title="Pixels per page",
        description="Of a PDF's pages, and the most that the model sees of any "
        "(the paper's 768 tokens: 602112)",
    )
    most_pages: int = Field(1000, ge=1, title="Most pages", description="Of a PDF; more is refused")
    max_rejected_share: Share = 0.2


class Retriever(Section):
    """Training a retriever with merging on, or taking one as it is."""

    model: Model = "outputs/page_retriever"
    trains: bool = Field(
        True, title="Train it", description="On the data's training questions, if there are any"
    )
    merging: Literal["clusters", "windows", "runs", "none"] = Field(
        "clusters", title="Groups of patches", description="Each becomes one vector, its mean"
    )
    factor: float = Field(
        9.0, ge=1, description="How many times fewer vectors than patches a page has"
    )
    likeness: Literal["profile", "distance"] = Field(
        "profile",
        title="Likeness of patches",
        description="In a cluster: alike to all others, as published, or near each other",
    )
    place: Literal["vectors", "states"] = Field(
        "vectors",
        title="Where to merge",
        description="After the projection, as published, or before it",
    )
    width: int = Field(64, ge=8, title="Numbers per vector", description="The paper's: 128")
    loss: Literal["infonce", "pairwise"] = Field(
        "infonce", description="Among all pages of a batch, or against the hardest one"
    )
    steps: Steps = 20
    batch: Batch = 8
    learning_rate: Rate = 1e-4
    dev: Dev = 24
    look_every: LookEvery = 10
    patience: Patience = 0


class PageIndexing(Section):
    """Turning pages into vectors on disk."""

    at_once: int = Field(8, ge=1, title="Pages at once", description="That the model reads")


class Retrieval(Section):
    """Searching the index with held-out questions."""

    per_set: int = Field(
        200, ge=1, title="Questions per set", description="Held out, at most so many of each"
    )
    search: Literal["auto", "exact", "fast"] = Field(
        "auto",
        title="How to search",
        description="Every page, or those that faiss proposes; by itself fast from 20,000 pages on",
    )
    beside_unmerged: bool = Field(
        True,
        title="Measure without merging as well",
        description="What merging costs: the same pages with all their vectors",
    )


class LightColpali(Section):
    """The experiment behind Light-ColPali's claims, on the embedded default."""

    seeds: Seeds = 3
    steps: Steps = 60
    batch: Batch = 24
    rates: Rates = [1e-4, 3e-4]


class RetrieveSettings(Shared):
    """Light-ColPali: find the page that answers a question, in an index a ninth of the size."""

    pages: Pages = Field(default=Pages(), description="Reading the data")
    retriever: Retriever = Field(default=Retriever(), description="The model that embeds")
    page_index: PageIndexing = Field(
        default=PageIndexing(), title="The index", description="The vectors of all pages"
    )
    retrieval: Retrieval = Field(default=Retrieval(), description="Held-out questions")
