"""Questions about long PDFs with the pages that answer them: MMLongBench-Doc.

    documents/report.pdf   samples.json:
    [{"doc_id": "report.pdf", "question": "Who voted in 2018?", "answer": "18.29%",
      "evidence_pages": "[3, 5]", "answer_format": "Float", …}, …]

as github.com/mayubo2333/MMLongBench-Doc describes it (README, "Dataset"), or the same columns as
Parquet (huggingface.co/datasets/yubo2333/MMLongBench-Doc, whose only split is called `train`). It
is read as a test set. Pages are counted from 1, as questions about "page 47" show, and written as
the text of a list. A question that its document does not answer has no page, and is set aside.

Questions speak of "this report": `details["document"]` says of which. Every PDF of the folder is
read, whether a question is about it or not; pictures beside them are not.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.reading.checks import Unusable
from tasks.reading.files import ANNOTATIONS, read_json
from tasks.reading.page_files import Aside, Row, columns_of, parquet_in, rows_in, text_of
from tasks.reading.pdfs import pages_of_pdf
from tasks.records.pages import Page, Question

SAMPLES = "samples.json"
COLUMNS = ("doc_id", "question", "answer", "evidence_pages")
NEEDED = {"doc_id", "question", "evidence_pages"}
NO_ANSWER = "not answerable"
SET = "MMLongBench-Doc"


class LongDocuments:
    """The documents of a folder and the questions about them.

    Args:
        files: With questions: `samples.json` or Parquet.
        pixels: That a page is drawn with.
        most: Pages of a PDF.
    """

    layout = SET

    def __init__(self, folder: Path, files: list[Path], pixels: int, most: int):
        self.folder, self.files, self.pixels, self.most = folder, files, pixels, most

    def pages(self, aside: Aside) -> Iterator[Page]:
        """Yield the pages of all PDFs, and set aside those that are named and not there."""
        for paths in self._documents.values():
            for path in paths:
                yield from pages_of_pdf(self.folder, path, self.pixels, self.most, aside)
        named = (row.get("doc_id") for _, row in self._rows(lambda _name, _why: None))
        for name in dict.fromkeys(one for one in named if isinstance(one, str)):
            if name not in self._documents:
                aside(name, "PDF file is missing")

    def questions(self, aside: Aside) -> Iterator[Question]:
        """Yield the questions, each with the pages that answer it; none for an unanswerable one."""
        seen: set[tuple[str, str]] = set()
        for name, row in self._rows(aside):
            text = text_of(row.get("question"))
            try:
                document = self._document(row.get("doc_id"))
                numbers = _numbers(row.get("evidence_pages"))
                if (document, text) in seen:  # `samples.json` and Parquet of it side by side
                    raise Unusable("the same question about the same document")
            except Unusable as reason:
                aside(f"question {name}", str(reason))
                continue
            seen.add((document, text))
            if text_of(row.get("answer")).strip().lower() == NO_ANSWER:
                numbers = []
            pages = {f"{document}#{number}": 1 for number in numbers}
            yield Question(name, text, pages, SET, "test", {"document": document})

    @cached_property
    def _documents(self) -> dict[str, list[str]]:
        """The PDFs of the folder, by their names without folders."""
        found = defaultdict(list)
        for file in sorted(self.folder.rglob("*")):
            if file.suffix.lower() == ".pdf":
                found[file.name].append(file.relative_to(self.folder).as_posix())
        return found

    def _document(self, name: Any) -> str:
        if not isinstance(name, str):
            raise Unusable("question about no document")
        paths = self._documents.get(name, [])
        if len(paths) != 1:
            raise Unusable("several PDF files have this name" if paths else "PDF file is missing")
        return paths[0]

    def _rows(self, aside: Aside) -> Iterator[tuple[str, Row]]:
        """Yield what the files say of each question, by a name for it."""
        tables = [file for file in self.files if file.name != SAMPLES]
        for number, row in rows_in(self.folder, tables, COLUMNS, aside):
            yield str(number), row
        for file in (file for file in self.files if file.name == SAMPLES):
            for number, row in enumerate(read_json(self.folder, file, ANNOTATIONS)):
                name = f"{file.relative_to(self.folder).as_posix()}:{number}"
                if isinstance(row, dict):
                    yield name, row
                else:
                    aside(f"question {name}", "entry is not a question")


def long_documents_in(folder: Path, pixels: int, most: int) -> LongDocuments | None:
    """Return the documents with questions of a folder, or None where it has none.

    Raises:
        UserError: Its `samples.json` is damaged.
    """
    files = [file for file, _ in parquet_in(folder) if set(columns_of(folder, file)) >= NEEDED]
    for file in sorted(folder.rglob(SAMPLES)):
        held = read_json(folder, file, ANNOTATIONS)
        if isinstance(held, list) and any(isinstance(r, dict) and r.keys() >= NEEDED for r in held):
            files.append(file)
    return LongDocuments(folder, files, pixels, most) if files else None


def _numbers(held: Any) -> list[int]:
    """Return the numbers of pages, from a list or the text of one.

    Raises:
        Unusable: They are something else.

    >>> _numbers("[3, 5]"), _numbers([]), _numbers("[]")
    ([3, 5], [], [])
    """
    if isinstance(held, str):
        try:
            held = json.loads(held)
        except (ValueError, RecursionError):
            held = None
    if not isinstance(held, list) or not all(type(one) is int and one >= 1 for one in held):
        raise Unusable("evidence_pages is no list of page numbers")
    return held
