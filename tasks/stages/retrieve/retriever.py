"""Train a retriever with merging on, or take one as it is."""

from pathlib import Path

from models.retrieval.encoder import load_retriever, save_retriever, shape_of
from models.retrieval.published import convert, is_published
from tasks.asking.opening import opened
from tasks.asking.resolving import folder_of
from tasks.benchmarks.retrieval import mean_ndcg
from tasks.job import Job, Metrics
from tasks.records.choosing import fewer, spread
from tasks.records.pages import Page, Question, read_pages, read_questions
from tasks.records.rows import write_summary
from tasks.running.errors import UserError
from tasks.settings import Settings
from tasks.stages.training import planned, trained
from tasks.training.retriever import Contrastive, merging_of, train_retriever


def retriever(settings: Settings, job: Job) -> Metrics:
    """Train a retriever with merging on, or take one as it is."""
    s, data = settings.retriever, job.input("pages")
    start = folder_of(s.model, job.root)
    if is_published(start):
        opened(start.name, lambda: convert(start, job.scratch / "published"))
        start = job.scratch / "published"
    is_one = (start / "modules.json").exists()
    if is_one and (shape := opened(start.name, lambda: shape_of(start))) != (s.width, s.place):
        raise UserError(
            f"{start.name} is a retriever of another shape",
            f"its vectors have {shape[0]} numbers and it merges its {shape[1]}; the settings say "
            f"{s.width} and {s.place}",
            f"set `retriever.width` to {shape[0]} and `retriever.place` to {shape[1]}",
        )
    questions = read_questions(data / "questions")
    taught = [question for question in questions if question.split == "train"]
    contrastive = Contrastive(
        learning_rate=s.learning_rate, warmup_steps=min(10, s.steps // 5), loss=s.loss,
        strategy=s.merging, factor=s.factor, likeness=s.likeness, place=s.place, width=s.width,
        pixels=settings.pages.pixels,
    )  # fmt: skip
    if not s.trains or not taught:
        return _as_it_is(start, is_one, contrastive, job)
    dev = spread([q for q in questions if q.split == "dev"], s.dev, kind=lambda q: q.set)
    plan = planned(
        settings, job, str(start), s.steps, s.batch, section="retriever",
        watched=mean_ndcg if dev else None, evaluate_every=s.look_every if dev else 0,
        patience=s.patience if dev else 0, evaluated=max(1, len(dev)),
    )  # fmt: skip
    history = train_retriever(taught, _pages(data, [*taught, *dev]), contrastive, plan, dev=dev)
    write_summary(job.out, questions=len(taught), fewer=fewer("retriever.dev", s.dev, len(dev)))
    return trained(job, history, s.steps * s.batch)


def _as_it_is(start: Path, is_one: bool, contrastive: Contrastive, job: Job) -> Metrics:
    """Keep the start with the merging that is wanted now.

    Raises:
        UserError: It has never learnt to retrieve.
    """
    if not is_one:
        raise UserError(
            f"{start.name} has not learnt to retrieve",
            "it has no projection to vectors, and there are no training questions",
            "give training questions (`split: train`), or name a retriever in `retriever.model`",
        )
    encoder = opened(
        start.name,
        lambda: load_retriever(str(start), merging_of(contrastive), contrastive.pixels),
    )
    save_retriever(encoder, job.out)
    write_summary(job.out, questions=0)
    return {}


def _pages(data: Path, questions: list[Question]) -> dict[str, Page]:
    """Return the pages that questions are about, and their negatives."""
    named = {name for q in questions for name in (*q.relevant, *q.details.get("negatives", ()))}
    return {page.id: page for page in read_pages(data / "pages") if page.id in named}
