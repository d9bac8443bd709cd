"""Pages of documents, and questions that some of them answer.

>>> page = Page("sales.pdf#3", "sales.pdf", 3, b"a picture")
>>> Question("1", "What was sold in May?", {page.id: 1}).relevant
{'sales.pdf#3': 1}
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Features, Value

from tasks.records.rows import TEXT, read_rows, write_shards

PAGES = Features(
    {"id": TEXT, "document": TEXT, "number": Value("int32"), "image": Value("binary"),
     "details": TEXT}
)  # fmt: skip
QUESTIONS = Features(
    {"id": TEXT, "text": TEXT, "relevant": TEXT, "set": TEXT, "split": TEXT, "details": TEXT}
)


@dataclass(frozen=True)
class Page:
    """A page as a picture.

    Attributes:
        id: Its name among all pages.
        document: The file that it is of.
        number: In its document, from 1.
        image: Encoded.
        details: What else is known of it.
    """

    id: str
    document: str
    number: int
    image: bytes = field(repr=False)
    details: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Question:
    """A question to an index.

    Attributes:
        relevant: The pages that answer it, each with a grade of at least 1.
        set: The data set that it is of; measures are told by it.
        details: `boxes`: where its answer stands on each page, in pixels, where that is known;
            `negatives`: pages that do not answer it.
    """

    id: str
    text: str
    relevant: dict[str, int]
    set: str = ""
    split: str = "test"
    details: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def best(self) -> str:
        """The page of the highest grade, of equal ones the first."""
        return max(self.relevant, key=lambda page: self.relevant[page])


def write_pages(pages: Iterable[Page], folder: Path) -> int:
    """Write pages as shards of Parquet, and return their number."""
    rows = (
        {"id": p.id, "document": p.document, "number": p.number, "image": p.image,
         "details": json.dumps(p.details)}
        for p in pages
    )  # fmt: skip
    return write_shards(rows, folder, PAGES)


def read_pages(folder: Path) -> Iterator[Page]:
    """Yield the pages of a folder, one after the other."""
    for row in read_rows(folder):
        yield Page(
            row["id"], row["document"], row["number"], row["image"], json.loads(row["details"])
        )


def write_questions(questions: Iterable[Question], folder: Path) -> int:
    """Write questions as shards of Parquet, and return their number."""
    rows = (
        {"id": q.id, "text": q.text, "relevant": json.dumps(q.relevant), "set": q.set,
         "split": q.split, "details": json.dumps(q.details)}
        for q in questions
    )  # fmt: skip
    return write_shards(rows, folder, QUESTIONS)


def read_questions(folder: Path) -> list[Question]:
    """Return the questions of a folder."""
    return [
        Question(
            row["id"], row["text"], json.loads(row["relevant"]), row["set"], row["split"],
            json.loads(row["details"]),
        )
        for row in read_rows(folder)
    ]  # fmt: skip
