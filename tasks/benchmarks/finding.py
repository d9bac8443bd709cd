"""Puts questions to an index of pages: what it finds, and where it looks."""

from collections.abc import Sequence

from torch import Tensor

from tasks.benchmarks.retrieval import points_at
from tasks.records.pages import Question
from tasks.retrieval.index import PageIndex
from tasks.retrieval.scoring import How, heat, search

MOST = 100  # pages of a question that are kept: measures look at ten


def found_in(
    index: PageIndex, questions: Sequence[Question], vectors: Sequence[Tensor], how: How = "exact"
) -> dict[str, dict[str, float]]:
    """Return the scores of the best pages, by question: what `by_question` measures.

    Args:
        vectors: Of each question, [vectors, width].
        how: As in `search`.
    """
    return {
        question.id: {one.page: one.score for one in found}
        for question, found in zip(questions, search(index, vectors, MOST, how), strict=True)
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
