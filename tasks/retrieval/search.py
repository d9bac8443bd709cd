"""Searches an index: of each word the best vector of a page, summed up (MaxSim).

>>> with PageIndex.open(Path("outputs/page_index")) as index:                      # doctest: +SKIP
...     [found] = search(index, [question], 5)
...     found[0].page, found[0].score
('sales.pdf#3', 9.31)

The vectors stay on disk and are multiplied block by block with those of all questions at once, in
float32; pages of equal length follow each other, so that nothing is padded and no score depends on
its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.retrieval.index import Entry, PageIndex, cell_values

ROWS_AT_ONCE = 2**15  # vectors of a block: in float32 16 MB of width 128


@dataclass(frozen=True)
class Found:
    """A page that was found.

    Attributes:
        score: The sum over the question's vectors, at most as many as those.
    """

    page: str
    score: float


def search(index: PageIndex, questions: Sequence[Tensor], most: int) -> list[list[Found]]:
    """Return the best pages for each question, the best first; of equal ones the later name.

    Args:
        questions: The vectors of each, [vectors, width].
        most: Pages for each.
    """
    names = np.array([entry.id for entry in index.entries])
    found = []
    for scores in exact_scores(index, questions).T:
        order = np.lexsort((names, scores))[::-1][:most]  # ties as trec_eval breaks them
        found.append([Found(str(names[i]), float(scores[i])) for i in order])
    return found


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
    words = torch.cat([q.float() for q in questions])
    owners = torch.repeat_interleave(
        torch.arange(len(questions)), torch.tensor([len(q) for q in questions])
    )
    places = {entry.id: place for place, entry in enumerate(index.entries)}
    for block in index.blocks(ROWS_AT_ONCE):
        near = block.vectors.float() @ words.T
        best = near.view(len(block.entries), -1, len(words)).amax(1)
        summed = torch.zeros(len(best), len(questions)).index_add_(1, owners, best)
        scores[[places[entry.id] for entry in block.entries]] = summed.numpy()
    return scores


def heat(index: PageIndex, entry: Entry, question: Tensor) -> np.ndarray:
    """Return how near each patch of a page is to its nearest word, [rows, columns].

    Args:
        question: [vectors, width].
    """
    near = index.vectors(entry).float() @ question.float().T
    return cell_values(entry, near.amax(1).tolist())
