"""What compression does to answers: a page found first is cut where it is hottest, and read.

A model that never saw a whole page is asked for a value on the cut; right is the exact text.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.records.images import open_image
from tasks.records.pages import Page, Question
from tasks.retrieval.index import PageIndex
from tasks.retrieval.scoring import heat

SIDE = 96  # pixels of a cut: what the embedded model reads
TOKENS = 12


def right_answers(
    reader: Asker, index: PageIndex, pages: Mapping[str, Page], questions: Sequence[Question],
    vectors: Sequence[Tensor], first: Mapping[str, str],
) -> dict[str, float]:  # fmt: skip
    """Return of each question with a value whether it was read, by its id.

    Args:
        questions: Those with a `value` in their details, a prompt and the answer, count.
        first: The page that was found first, by question.
    """
    entries = {entry.id: entry for entry in index.entries}
    asked, answers = [], {}
    for one, words in zip(questions, vectors, strict=True):
        if value := one.details.get("value"):
            entry = entries[first[one.id]]
            cut = hottest(pages[entry.id].image, heat(index, entry, words))
            asked.append(question(value["prompt"], [cut]))
            answers[one.id] = value["answer"]
    replies = reader.ask(asked, max_new_tokens=TOKENS, title="reading what was found")
    return {
        id: float(reply.text.strip() == answer)
        for (id, answer), [reply] in zip(answers.items(), replies, strict=True)
    }


def hottest(image: bytes, warm: np.ndarray) -> bytes:
    """Cut a page around the middle of its hottest cell.

    Args:
        warm: Of each cell, [rows, columns].
    """
    page = open_image(image)
    row, column = np.unravel_index(int(warm.argmax()), warm.shape)
    x = (column + 0.5) * page.width / warm.shape[1] - SIDE / 2
    y = (row + 0.5) * page.height / warm.shape[0] - SIDE / 2
    left = int(min(max(0, x), max(0, page.width - SIDE)))
    top = int(min(max(0, y), max(0, page.height - SIDE)))
    cut = io.BytesIO()
    page.crop((left, top, left + SIDE, top + SIDE)).save(cut, format="PNG")
    return cut.getvalue()
