"""Teach the embedded base to embed pages, one vector for each of their cells (shipped by DVC)."""

from models.retrieval.encoder import Merging, save_retriever
from models.statistics import mean
from tasks.benchmarks.finding import found_in, pointing
from tasks.benchmarks.gates import Gate, pass_gates
from tasks.benchmarks.retrieval import by_question
from tasks.job import Job, Metrics
from tasks.records.images import to_png
from tasks.records.pages import Page, Question
from tasks.records.rows import write_summary
from tasks.retrieval.embedding import add_pages, embed_questions, open_retriever
from tasks.retrieval.index import Made, PageIndex
from tasks.running.progress import track
from tasks.settings import Settings

# What an experiment about merging needs: an untrained retriever is noise
BARS = {"ndcg@5": 0.75, "pointing": 0.75}


def page_retriever(settings: Settings, job: Job) -> Metrics:
    """Teach the embedded base to embed pages, one vector for each of their cells (shipped)."""
    from tasks.training.fitting import mlflow_logger
    from tasks.world.page_school import teach_to_embed  # draws the micro-world

    s = settings.page_retriever
    encoder = teach_to_embed(
        str(job.input("base")), job.scratch, mlflow_logger(job.run_id), width=s.width,
        steps=s.steps, learning_rate=s.learning_rate, hold=s.hold, processes=s.processes,
        seed=settings.seed,
    )  # fmt: skip
    save_retriever(encoder, job.out)
    found = _measured(settings, job)
    for name, value in found.items():
        print(f"{name} {value:.3f}", flush=True)
    write_summary(job.out, held_out=found)
    return found | pass_gates([Gate(name, found[name], low) for name, low in BARS.items()])


def _measured(settings: Settings, job: Job) -> Metrics:
    """Find dev pages among each other and their near misses, with all vectors."""
    from tasks.world.pages import draw_sets

    s = settings.page_retriever
    drawn = draw_sets(settings.seed + 1, {"dev": s.dev}, s.near_misses)
    questions = [
        Question(one.id, one.question, {one.id: 1}, one.set, "dev",
                 {"boxes": {one.id: [fact.box for fact in one.facts]}})
        for one in drawn
    ]  # fmt: skip
    encoder = open_retriever(str(job.out), settings.device, Merging("none"))
    index = PageIndex.create(job.scratch / "dev", Made("dev", s.width))
    pages = (Page(one.id, one.id, 1, to_png(one.page.image)) for one in drawn)
    for _ in track(add_pages(encoder, pages, index), "indexing dev pages"):
        pass
    vectors = embed_questions(encoder, [one.question for one in drawn])
    measured = by_question(questions, found_in(index, questions, vectors))
    found = {
        f"{name}/ndcg@5": mean(measured[q.id]["ndcg@5"] for q in questions if q.set == name)
        for name in dict.fromkeys(q.set for q in questions)
    }
    return found | {
        "ndcg@5": mean(found.values()), "pointing": mean(pointing(index, questions, vectors)),
    }  # fmt: skip
