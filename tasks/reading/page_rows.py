"""Questions with the page that answers each in one row of Parquet, and negatives beside it.

    {"query": "What was sold in May?", "image": …, "image_filename": "sales.pdf", "source": "pdf"}

is the layout of ViDoRe 1, of the ColPali training set (huggingface.co/datasets/vidore/
colpali_train_set, which has `answer`, `options`, `page`, `model`, `prompt` and `answer_type` too)
and of VisRAG's training sets (`query`, `image`, `source`). A page that several questions are about
stands in several rows and is read once, by its file name *and* its picture: a file name of another
picture is another page. Measures are told by `source`.

    {"query": …, "image": …, "negative_0": …, "negative_1": …}

are triplets as sentence-transformers trains on ("Multimodal" in the training overview of its
multi-vector encoders); also `positive` with `negative`, the paper's `neg_image`, or a list of
pictures, `negatives`. Each negative is a picture and so a page.

    {"id": "a1", "query": …, "image": …, "negatives": ["b7", "c3"]}

names the rows of the negatives (huggingface.co/datasets/llamaindex/vdr-multilingual-train).
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tasks.reading.checks import Unusable
from tasks.reading.files import PICTURE, content
from tasks.reading.page_files import (
    Aside,
    Row,
    Shelf,
    columns_of,
    damaged,
    first_of,
    parquet_in,
    part_of,
    rows_in,
    shelf_of,
    text_of,
)
from tasks.records.pages import Page, Question

ANSWERS = ("image", "positive")  # columns of the page that answers
TOLD = ("set", "source", "negatives")  # beside a question
NEGATIVE = re.compile(r"negatives|negative(_\d+)?|neg_image")


class PageRows:
    """The rows of a folder.

    Args:
        shelves: The files of each split of each set.
        negatives: Columns of what does not answer the question of its row.
    """

    def __init__(self, folder: Path, shelves: dict[Shelf, list[Path]], negatives: Collection[str]):
        self.folder, self.shelves, self.negatives = folder, shelves, sorted(negatives)
        self.layout = "triplets" if negatives else "ViDoRe 1 or the ColPali training set"
        # by the number of a row: the page that answers its question, and those that do not
        self._answers: dict[Shelf, dict[int, str]] = defaultdict(dict)
        self._others: dict[Shelf, dict[int, list[str]]] = defaultdict(dict)

    def pages(self, aside: Aside) -> Iterator[Page]:
        """Yield the pages of all splits."""
        columns = ("id", "image_filename", *ANSWERS, *self.negatives)
        for shelf, files in self.shelves.items():
            known: dict[tuple[str, bytes], str] = {}  # by what rows call a page, and its picture
            taken: set[str] = set()
            for number, row in rows_in(self.folder, files, columns, aside):
                for place, called, value in self._pictures(row):
                    name = shelf.named(called or f"{number}{place}")
                    try:
                        image = content(self.folder, value, "picture", PICTURE)
                    except Unusable as reason:
                        aside(f"{name} (row {number})", str(reason))
                        continue
                    key = (called, hashlib.sha256(image).digest())
                    if key not in known:
                        known[key] = f"{name} (row {number})" if name in taken else name
                        taken.add(name)
                        yield Page(known[key], known[key], 1, image)
                    if place:
                        self._others[shelf].setdefault(number, []).append(known[key])
                    else:
                        self._answers[shelf][number] = known[key]

    def _pictures(self, row: Row) -> Iterator[tuple[str, str, Any]]:
        """Yield the pictures of a row, each with its place and what the row calls it, if it does.

        The one that answers comes first, and its place is empty.
        """
        yield "", _called(row), first_of(row, *ANSWERS)
        for column in self.negatives:
            held = row.get(column)
            if isinstance(held, list):
                pictures = [(n, one) for n, one in enumerate(held) if isinstance(one, dict | bytes)]
                yield from ((f"/{column}/{n}", "", one) for n, one in pictures)
            elif held is not None:
                yield f"/{column}", "", held

    def questions(self, aside: Aside) -> Iterator[Question]:
        """Yield the questions of all splits, each with its page; after the pages."""
        for shelf, files in self.shelves.items():
            for number, row in rows_in(self.folder, files, ("query", *TOLD), aside):
                if row.get("query") is None:
                    continue  # a page that nobody asks about
                page = self._answers[shelf].get(number)
                others = [*self._others[shelf].get(number, ()), *_named(row, shelf)]
                details: dict[str, Any] = {"negatives": others} if others else {}
                yield Question(
                    shelf.named(number), text_of(row["query"]), {page: 1} if page else {},
                    text_of(row.get("set")) or text_of(row.get("source")) or shelf.set,
                    shelf.split, details,
                )  # fmt: skip


def page_rows_in(folder: Path) -> PageRows | None:
    """Return the rows of a folder, or None where it has none.

    Raises:
        UserError: A file beside others of the set is damaged.
    """
    shelves: dict[Shelf, list[Path]] = defaultdict(list)
    negatives: set[str] = set()
    unreadable = []
    for file, words in parquet_in(folder):
        if part_of(words):
            continue
        columns = columns_of(folder, file)
        beside = set(filter(NEGATIVE.fullmatch, columns))
        if not columns:
            unreadable.append(file)
        elif "query" in columns and ("image" in columns or ("positive" in columns and beside)):
            shelves[shelf_of(words)].append(file)
            negatives |= beside
    places = {file.parent for files in shelves.values() for file in files}
    if parts := [file for file in unreadable if file.parent in places]:
        raise damaged(parts)
    return PageRows(folder, shelves, negatives) if shelves else None


def _called(row: Row) -> str:
    """Return what a row calls its page, or nothing; its `id`, where negatives are told by it."""
    name = row.get("image_filename")
    if name is None and "negatives" in row:
        name = row.get("id")
    return "" if name is None else str(name)


def _named(row: Row, shelf: Shelf) -> list[str]:
    """Return the pages that a row names as negatives."""
    held = row.get("negatives")
    named = held if isinstance(held, list) else []
    return [shelf.named(one) for one in named if isinstance(one, str | int)]
