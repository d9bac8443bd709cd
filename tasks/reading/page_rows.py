"""Questions with the page that answers each in one row of Parquet, and negatives beside it.

    {"query": "What was sold in May?", "image": …, "image_filename": "sales.pdf", "source": "pdf"}

is the layout of ViDoRe 1, of the ColPali training set (huggingface.co/datasets/vidore/
colpali_train_set, columns as in the card of nomic-ai/colpali_train_set_split_by_source: `image`,
`image_filename`, `query`, `answer`, `source`, `options`, `page`, `model`, `prompt`, `answer_type`)
and of VisRAG's training sets (`query`, `image`, `source`). A page that several questions are about
stands in several rows and is read once, by its file name *and* its picture: a file name of another
picture is another page. Measures are told by `source`.

    {"query": …, "image": …, "negative_0": …, "negative_1": …}

are triplets as sentence-transformers trains on (`docs/multi_vector_encoder/training_overview.md`,
"Multimodal"; also `positive` and `negative`); each negative is a picture and becomes a page.

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
    first_of,
    parquet_in,
    part_of,
    rows_in,
    shelf_of,
    text_of,
)
from tasks.records.pages import Page, Question

PICTURES = ("image", "positive")
NEGATIVE = re.compile(r"negative(_\d+)?")


class PageRows:
    """The rows of a folder.

    Args:
        shelves: The files of each split of each set.
        negatives: Columns with pictures that do not answer the question of their row.
    """

    def __init__(self, folder: Path, shelves: dict[Shelf, list[Path]], negatives: Collection[str]):
        self.folder, self.shelves, self.negatives = folder, shelves, sorted(negatives)
        self.layout = "triplets" if negatives else "ViDoRe 1 or the ColPali training set"
        # by the number of a row: the page that answers its question, and those that do not
        self._pages: dict[Shelf, dict[int, str]] = defaultdict(dict)
        self._others: dict[Shelf, dict[int, list[str]]] = defaultdict(dict)

    def pages(self, aside: Aside) -> Iterator[Page]:
        """Yield the pages of all splits."""
        for shelf, files in self.shelves.items():
            known: dict[tuple[str, bytes], str] = {}
            columns = ("id", "image_filename", "negatives", *PICTURES, *self.negatives)
            for number, row in rows_in(self.folder, files, columns, aside):
                base = _name(row, number)
                name = shelf.named(base)
                try:
                    image = content(self.folder, first_of(row, *PICTURES), "picture", PICTURE)
                except Unusable as reason:
                    aside(f"{name} (row {number})", str(reason))
                else:
                    key = (base, hashlib.sha256(image).digest())
                    if key not in known:
                        taken = any(other == base for other, _ in known)
                        known[key] = f"{name} (row {number})" if taken else name
                        yield Page(known[key], known[key], 1, image)
                    self._pages[shelf][number] = known[key]
                yield from self._negatives(shelf, number, row, aside)

    def _negatives(self, shelf: Shelf, number: int, row: Row, aside: Aside) -> Iterator[Page]:
        for column in self.negatives:
            if row.get(column) is None:
                continue
            name = shelf.named(f"{number}/{column}")
            try:
                image = content(self.folder, row[column], "picture", PICTURE)
            except Unusable as reason:
                aside(name, str(reason))
                continue
            self._others[shelf].setdefault(number, []).append(name)
            yield Page(name, name, 1, image)

    def questions(self, aside: Aside) -> Iterator[Question]:
        """Yield the questions of all splits, each with its page; after the pages."""
        columns = ("query", "set", "source", "negatives")
        for shelf, files in self.shelves.items():
            for number, row in rows_in(self.folder, files, columns, aside):
                if row.get("query") is None:
                    continue  # a page that nobody asks about
                page = self._pages[shelf].get(number)
                others = [*self._others[shelf].get(number, ())]
                if isinstance(row.get("negatives"), list):
                    others += [shelf.named(one) for one in row["negatives"]]
                details: dict[str, Any] = {"negatives": others} if others else {}
                yield Question(
                    shelf.named(number), text_of(row["query"]), {page: 1} if page else {},
                    str(row.get("set") or row.get("source") or shelf.set), shelf.split, details,
                )  # fmt: skip


def page_rows_in(folder: Path) -> PageRows | None:
    """Return the rows of a folder, or None where it has none."""
    shelves: dict[Shelf, list[Path]] = defaultdict(list)
    negatives: set[str] = set()
    for file, words in parquet_in(folder):
        columns = columns_of(folder, file)
        if part_of(words) or "query" not in columns:
            continue
        beside = set(filter(NEGATIVE.fullmatch, columns))
        if "image" in columns or ("positive" in columns and beside):
            shelves[shelf_of(words)].append(file)
            negatives |= beside
    return PageRows(folder, shelves, negatives) if shelves else None


def _name(row: Row, number: int) -> str:
    """Return how a row calls its page."""
    if row.get("image_filename") is not None:
        return str(row["image_filename"])
    return str(number if row.get("negatives") is None or row.get("id") is None else row["id"])
