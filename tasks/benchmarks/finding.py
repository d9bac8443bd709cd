"""Puts questions to an index of pages: what it finds, and where it looks."""

from collections.abc import Sequence

from torch import Tensor

from tasks.benchmarks.retrieval import points_at
from tasks.records.pages import Question
from tasks.retrieval.index import PageIndex
from tasks.retrieval.search import exact_scores, heat


def found_in(
    index: PageIndex, questions: Sequence[Question], vectors: Sequence[Tensor]
) -> dict[str, dict[str, float]]:
    """Return the score of every page, by question: what `by_question` measures.

    Args:
        vectors: Of each question, [vectors, width].
    """
    names = [entry.id for entry in index.entries]
    return {
        question.id: dict(zip(names, scores.tolist(), strict=True))
        for question, scores in zip(questions, exact_scores(index, vectors).T, strict=True)
    }


def pointing(
    index: PageIndex, questions: Sequence[Question], vectors: Sequence[Tensor]
) -> list[bool]:
    """Return of each question with a box whether its page is warmest there."""
    entries = {entry.id: entry for entry in index.entries}
    found = []
    for question, some in zip(questions, vectors, strict=True):
        entry = entries[question.best]
        boxes = question.details.get("boxes", {}).get(question.best)
        if boxes and entry.rows:
            warm = heat(index, entry, some)
            found.append(bool(points_at(warm, (entry.width, entry.height), boxes)))
    return found
