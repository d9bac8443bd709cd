"""Search the index with held-out questions, and the same pages without merging."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.retrieval.encoder import Merging, identity, vector_width
from models.statistics import compare, mean, told
from tasks.benchmarks.finding import found_in, pointing
from tasks.benchmarks.retrieval import by_question, by_set, write_run
from tasks.job import Job, Metrics
from tasks.records.choosing import of_each
from tasks.records.pages import Question, read_pages, read_questions
from tasks.retrieval.embedding import add_pages, embed_questions, open_retriever
from tasks.retrieval.index import Made, PageIndex
from tasks.retrieval.scoring import heat, ranked
from tasks.running.progress import track
from tasks.settings import Settings

MERGED, WHOLE = "merged", "unmerged"
LOOKED_AT = 60  # questions whose pages are drawn warm where they match
SHOWN = 5  # pages of a question


def retrieval(settings: Settings, job: Job) -> Metrics:
    """Search the index with held-out questions, and the same pages without merging."""
    s, data, folder = settings.retrieval, job.input("pages"), job.input("retriever")
    questions = [q for q in read_questions(data / "questions") if q.split == "test"]
    questions = of_each(questions, s.per_set, kind=lambda q: q.set)
    encoder = open_retriever(str(folder), settings.device)
    vectors = embed_questions(encoder, [q.text for q in questions]) if questions else []
    indexes = {MERGED: PageIndex.open(job.input("page_index"))}
    if s.beside_unmerged and questions:
        indexes[WHOLE] = _unmerged(settings, job, folder, data)
    looked = of_each(questions, max(1, LOOKED_AT // max(1, len({q.set for q in questions}))),
                     kind=lambda q: q.set)  # fmt: skip
    table: dict[str, Any] = {}
    items = [_item(question) for question in looked]
    found = {}
    for name, index in indexes.items():
        run = found_in(index, questions, vectors, s.search)
        found[name] = by_question(questions, run) if questions else {}
        table[name] = {
            "sets": by_set(questions, found[name], settings.benchmarks.resamples),
            "pages": len(index), "bytes": index.bytes,
            "bytes_per_page": index.bytes / max(1, len(index)),
            "vectors_per_page": mean(entry.after for entry in index.entries),
            "pointing": mean(pointing(index, questions, vectors)),
        }  # fmt: skip
        write_run(job.out / f"{name}.run", run, name)
        for item, question in zip(items, looked, strict=True):
            place = questions.index(question)
            item[name] = _seen(index, question, vectors[place], run[question.id])
            item[name] |= {"measures": found[name][question.id]}
    if WHOLE in found:
        table["comparison"] = _compared(questions, found, settings.benchmarks.resamples)
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    (job.out / "items.json").write_text(json.dumps(items) + "\n")
    job.cost.add(len(questions), sum(len(some) for some in vectors))
    return {
        f"{name}/{measure}": value
        for name in indexes
        for measure, value in table[name]["sets"][""].items()
        if value is not None
    }


def _unmerged(settings: Settings, job: Job, folder: Path, data: Path) -> PageIndex:
    """Index the same pages with all their vectors, in the folder that a kill leaves."""
    encoder = open_retriever(str(folder), settings.device, Merging("none"))
    made = Made(identity(folder), vector_width(encoder))
    index = PageIndex.create(job.scratch / "unmerged", made)
    at_once = settings.page_index.at_once
    pages = read_pages(data / "pages")
    for _ in track(add_pages(encoder, pages, index, at_once), "indexing without merging"):
        pass
    return index


def _item(question: Question) -> dict[str, Any]:
    return {
        "id": question.id, "text": question.text, "set": question.set,
        "relevant": list(question.relevant), "right": question.best,
        "boxes": question.details.get("boxes", {}).get(question.best, []),
    }  # fmt: skip


def _seen(
    index: PageIndex, question: Question, vectors: Any, scores: dict[str, float]
) -> dict[str, Any]:
    """Return the best pages of a question, and where the right one is warm."""
    entries = {entry.id: entry for entry in index.entries}
    best = [{"page": page, "score": score} for page, score in ranked(scores, SHOWN)]
    right = entries[question.best]
    # where nobody tells the grid of the patches there is no map to draw
    warm = heat(index, right, vectors).round(3).tolist() if right.rows else []
    return {
        "best": best,
        "warm": warm,
        "groups": right.groups,
        "grid": [right.rows, right.columns],
    }


def _compared(
    questions: list[Question], found: dict[str, dict[str, dict[str, float]]], resamples: int
) -> dict[str, Any]:
    sides = [np.array([found[name][q.id]["ndcg@5"] for q in questions]) for name in (MERGED, WHOLE)]
    test = compare(*sides, resamples)
    [row] = told([test]) if test else [{}]
    whole = mean(sides[1])
    return row | {"kept": (mean(sides[0]) or 0) / whole if whole else None}
