"""Searches an index: of each word the best vector of a page, summed up (MaxSim).

>>> with PageIndex.open(Path("outputs/page_index")) as index:                      # doctest: +SKIP
...     [found] = search(index, [question], 5)
...     found[0].page, found[0].score
('sales.pdf#3', 9.31)

The vectors stay on disk and are multiplied block by block with those of all questions at once, in
float32; pages of equal length follow each other, so that nothing is padded and no score depends on
its neighbours.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tasks.retrieval.index import Entry, PageIndex, cell_values
from tasks.running.errors import UserError

# Vectors of a block and of the questions that are compared with it: in float32 4 MB of width 128,
# and 32 MB of similarities.
ROWS_AT_ONCE, WORDS_AT_ONCE = 2**13, 2**10
How = Literal["auto", "exact", "fast"]
MANY = 20_000  # pages: below, comparing all takes less than a second
PROPOSED = 256  # pages whose exact scores are computed


@dataclass(frozen=True)
class Found:
    """A page that was found.

    Attributes:
        score: The sum over the question's vectors, at most as many as those.
    """

    page: str
    score: float


def search(
    index: PageIndex, questions: Sequence[Tensor], most: int, how: How = "auto"
) -> list[list[Found]]:
    """Return the best pages for each question, the best first; of equal ones the later name.

    Args:
        questions: The vectors of each, [vectors, width].
        most: Pages for each.
        how: All pages are compared, or those that faiss proposes.

    Raises:
        UserError: Pages are to be proposed, and faiss is not installed.
    """
    if how == "fast" or (how == "auto" and len(index) >= MANY):
        return _proposed(index, questions, most)
    names = [entry.id for entry in index.entries]
    return [
        [Found(*one) for one in ranked(dict(zip(names, scores.tolist(), strict=True)), most)]
        for scores in exact_scores(index, questions).T
    ]


def _proposed(index: PageIndex, questions: Sequence[Tensor], most: int) -> list[list[Found]]:
    """Return the best of the pages that are proposed, by their exact scores."""
    try:
        from tasks.retrieval.proposing import proposals_of
    except ImportError:
        raise UserError(
            "Pages cannot be proposed",
            "faiss is not installed",
            "`pip install 'collimate[search]'`, or set the search to `exact`",
        ) from None
    proposals, found = proposals_of(index), []
    for question in questions:
        some = [index.entries[place] for place in proposals.pages(question, max(PROPOSED, most))]
        rows = [index.vectors(entry) for entry in some]
        near = torch.cat(rows).float() @ question.float().T
        starts = np.cumsum([0, *(len(one) for one in rows[:-1])])
        scores = np.maximum.reduceat(near.numpy(), starts).sum(axis=1)
        named = dict(zip((entry.id for entry in some), scores.tolist(), strict=True))
        found.append([Found(*one) for one in ranked(named, most)])
    return found


def ranked(scores: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    """Return the best pages, of equal ones the later name first, as trec_eval breaks ties."""
    return heapq.nlargest(most, scores.items(), key=lambda one: (one[1], one[0]))


def exact_scores(index: PageIndex, questions: Sequence[Tensor]) -> np.ndarray:
    """Return the score of each page for each question, [pages, questions], float32.

    Args:
        questions: The vectors of each, [vectors, width].

    Raises:
        ValueError: A question has vectors of another width, or none.
    """
    if any(not len(q) or q.shape[1] != index.made.width for q in questions):
        raise ValueError(f"a question has vectors of {index.made.width} numbers, and one at least")
    scores = np.zeros((len(index), len(questions)), dtype=np.float32)
    if not len(questions):
        return scores
    places = {entry.id: place for place, entry in enumerate(index.entries)}
    some = max(1, WORDS_AT_ONCE // max(len(question) for question in questions))
    for block in index.blocks(ROWS_AT_ONCE):
        rows, mine = block.vectors.float(), [places[entry.id] for entry in block.entries]
        for start in range(0, len(questions), some):
            asked = questions[start : start + some]
            scores[mine, start : start + len(asked)] = _block_scores(rows, asked, len(mine))
    return scores


def _block_scores(rows: Tensor, questions: Sequence[Tensor], pages: int) -> np.ndarray:
    """Return the scores of pages that follow each other, [pages, questions]."""
    words = torch.cat([question.float() for question in questions])
    lengths = torch.tensor([len(question) for question in questions])
    owners = torch.repeat_interleave(torch.arange(len(questions)), lengths)
    best = (rows @ words.T).view(pages, -1, len(words)).amax(1)
    return torch.zeros(pages, len(questions)).index_add_(1, owners, best).numpy()


def heat(index: PageIndex, entry: Entry, question: Tensor) -> np.ndarray:
    """Return how near each patch of a page is to its nearest word, [rows, columns].

    Args:
        question: [vectors, width].
    """
    near = index.vectors(entry).float() @ question.float().T
    return cell_values(entry, near.amax(1).tolist())
