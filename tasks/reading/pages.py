"""Reads pages and questions: a folder of PDFs and pictures, or a public table.

    my_pages/sales.pdf   my_pages/scans/1.png   my_pages/questions.jsonl:
    {"text": "What was sold in May?", "relevant": ["sales.pdf#3"]}

are the pages `sales.pdf#1`, `sales.pdf#2`, … and `scans/1.png`. Questions are for measuring;
without them an index is made all the same. The same picture twice is one page. What cannot be used
is set aside with its reason.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from tasks.reading.checks import SPLITS, Unusable, picture_size
from tasks.reading.files import lines_in, open_data
from tasks.reading.long_documents import long_documents_in
from tasks.reading.page_rows import page_rows_in
from tasks.reading.page_tables import graded, page_tables_in
from tasks.reading.pdfs import pages_of_pdf
from tasks.reading.pictures import is_picture, read_picture
from tasks.reading.preview import Preview
from tasks.records.choosing import spread
from tasks.records.images import BadPicture, kept
from tasks.records.pages import Page, Question
from tasks.running.texts import is_unicode

QUESTIONS = "questions.jsonl"
WORDS = 1000  # of a question


def look(folder: Path, number: int = 10) -> Preview:
    """Read a folder of pages and return some of its questions as they are understood."""
    reader = PageReader(folder, pixels=4096, most=1000)  # small: they are only counted
    for _ in reader.pages():
        pass
    return reader.preview(list(reader.questions()), number)


class PageReader:
    """The pages and questions of a folder.

    Args:
        pixels: That a page of a PDF is drawn with.
        most: Pages of a PDF.

    Attributes:
        names: The pages so far, and for a page that is there already the first of its kind.
        aside: What was set aside, by its name, with its reason.
        lost: How many pages could not be read; one that is there already is not lost.
    """

    def __init__(self, folder: Path, pixels: int, most: int):
        self.folder, self.pixels, self.most = folder, pixels, most
        found = (
            long_documents_in(folder, pixels, most), page_tables_in(folder), page_rows_in(folder)
        )  # fmt: skip
        self.public = [layout for layout in found if layout]
        self.names: dict[str, str] = {}
        self.aside: list[dict[str, str]] = []
        self.lost = 0
        self._pictures: dict[bytes, str] = {}

    def pages(self) -> Iterator[Page]:
        """Yield the pages, each picture once."""
        public = chain.from_iterable(layout.pages(self._lose) for layout in self.public)
        for page in public if self.public else self._files():
            if page.id in self.names:
                self._lose(page.id, "page of a name that is there already")
                continue
            if not (is_unicode(page.id) and is_unicode(page.document)):
                self._lose(page.id, "name that is not Unicode")
                continue
            try:
                picture_size(page.image)
                image, _ = kept(page.image)
            except (Unusable, BadPicture) as reason:
                self._lose(page.id, str(reason))
                continue
            key = hashlib.sha256(image).digest()
            self.names[page.id] = first = self._pictures.setdefault(key, page.id)
            if first != page.id:
                self._set_aside(page.id, "the same picture as another page")
                continue
            yield replace(page, image=image)

    def questions(self) -> Iterator[Question]:
        """Yield the questions that can be asked; after the pages."""
        public = chain.from_iterable(layout.questions(self._set_aside) for layout in self.public)
        seen: set[str] = set()
        for question in public if self.public else self._lines():
            try:
                yield self._checked(question, seen)
            except Unusable as reason:
                self._set_aside(f"question {question.id}", str(reason))

    def preview(self, questions: Sequence[Question], number: int = 10) -> Preview:
        """Return some questions as they were understood, for people to look at."""
        rows = [
            {"id": q.id, "split": q.split, "set": q.set, "question": q.text[:300],
             "answered by": ", ".join(q.relevant)}
            for q in spread(questions, number, kind=lambda q: (q.split, q.set))
        ]  # fmt: skip
        pages = f"{len(set(self.names.values()))} pages"
        layout = " and ".join(one.layout for one in self.public) or "PDFs and pictures"
        reasons = Counter(one["reason"] for one in self.aside)
        return Preview(layout, rows or [{"pages": pages}], dict(reasons), pages)

    def _checked(self, question: Question, seen: set[str]) -> Question:
        if question.id in seen:
            raise Unusable("duplicate id")
        seen.add(question.id)
        if not all(map(is_unicode, (question.id, question.text, question.set))):
            raise Unusable("text that is not Unicode")
        if not question.text.strip():
            raise Unusable("empty question")
        if len(question.text.split()) > WORDS:
            raise Unusable(f"question of more than {WORDS} words")
        relevant: dict[str, int] = {}
        for page, grade in question.relevant.items():
            if page not in self.names:
                self._set_aside(f"question {question.id}", "a page that is not there answers it")
                continue
            relevant[self.names[page]] = max(grade, relevant.get(self.names[page], 0))
        if not relevant:
            raise Unusable("question that no page answers")
        details = dict(question.details)
        if "boxes" in details:
            details["boxes"] = {
                self.names[page]: boxes
                for page, boxes in details["boxes"].items() if page in self.names
            }  # fmt: skip
        if "negatives" in details:
            named = [self.names[page] for page in details["negatives"] if page in self.names]
            if len(named) < len(details["negatives"]):
                self._set_aside(f"question {question.id}", "a negative that is not there")
            details["negatives"] = [page for page in named if page not in relevant]
        return replace(question, relevant=relevant, details=details)

    def _files(self) -> Iterator[Page]:
        for file in sorted(self.folder.rglob("*")):
            name = file.relative_to(self.folder).as_posix()
            if file.suffix.lower() == ".pdf":
                yield from pages_of_pdf(self.folder, name, self.pixels, self.most, self._lose)
            elif is_picture(file):
                try:
                    yield Page(name, name, 1, read_picture(self.folder, name))
                except Unusable as reason:
                    self._lose(name, str(reason))

    def _lines(self) -> Iterator[Question]:
        if not (self.folder / QUESTIONS).is_file():
            return
        with open_data(self.folder, self.folder / QUESTIONS) as opened:
            for number, line in enumerate(lines_in(opened), start=1):
                if line is not None and not line.strip():
                    continue
                try:
                    yield _question(line, str(number))
                except Unusable as reason:
                    self._set_aside(f"question {number}", str(reason))

    def _lose(self, name: str, why: str) -> None:
        self.lost += 1
        self._set_aside(name, why)

    def _set_aside(self, name: str, why: str) -> None:
        plain = name.encode(errors="backslashreplace").decode()
        self.aside.append({"id": plain, "reason": why, "source": "pages"})


def _question(line: bytes | None, number: str) -> Question:
    try:
        held: Any = json.loads(line or b"")
    except (ValueError, RecursionError) as error:
        raise Unusable("line is not JSON") from error
    if not isinstance(held, dict) or not isinstance(held.get("text"), str):
        raise Unusable("line has no text")
    relevant = held.get("relevant", [])
    grades = dict.fromkeys(relevant, 1) if _are_texts(relevant) else relevant
    if not isinstance(grades, dict) or not all(map(graded, grades.values())):
        raise Unusable("relevant is neither a list of pages nor a grade for each")
    grades = {page: graded(grade) for page, grade in grades.items()}
    split = held.get("split", "test")
    if split not in SPLITS:
        raise Unusable("split is none of train, dev, test")
    details = {"negatives": held["negatives"]} if _are_texts(held.get("negatives")) else {}
    return Question(
        str(held.get("id", number)), held["text"], grades, str(held.get("set", "")), split, details
    )


def _are_texts(value: Any) -> bool:
    return (
        isinstance(value, Iterable)
        and not isinstance(value, str | dict)
        and all(isinstance(one, str) for one in value)
    )
