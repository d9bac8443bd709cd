"""Pages, questions and judgements in three public tables, as Parquet.

    corpus.parquet: {"corpus-id": "7", "image": …}
    queries.parquet: {"query-id": "1", "query": "What was sold in May?"}
    qrels.parquet: {"query-id": "1", "corpus-id": "7", "score": 1}

is the layout of ViDoRe 2 and 3 (hyphens or underscores, graded scores, boxes), and of VisRAG's six
test sets (huggingface.co/datasets/openbmb/VisRAG-Ret-Test-ChartQA and its like: names of files as
`corpus-id`, scores of 1, `answer` beside a query). Their only split is called `train`, and is what
VisRAG and others test on: it is read as the test split. The files, or the folders that they are in,
are named by their split.

Pages without questions are taken as well: they can be indexed.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.reading.checks import Unusable
from tasks.reading.files import PICTURE, content
from tasks.reading.page_files import (
    PARTS,
    Aside,
    Shelf,
    columns_of,
    damaged,
    first_of,
    is_number,
    parquet_in,
    part_of,
    rows_in,
    shelf_of,
    text_of,
)
from tasks.reading.splits import split_in
from tasks.records.pages import Page, Question
from tasks.running.errors import UserError

MOST_GRADE = 100  # trec_eval keeps a list as long as the highest one
# What a file must have, one of it, to be a part; another of such a name is nobody's.
COLUMNS = {"corpus": {"image"}, "queries": {"query"}, "qrels": {"query-id", "query_id"}}
OF_VISRAG = {"query-id", "query", "answer"}  # columns of its queries
Files = dict[str, list[Path]]  # of a split, by the part that they hold


class PageTables:
    """The tables of a folder.

    Args:
        shelves: The files of each split of each set.
        layout: What the tables are, for people.
    """

    def __init__(self, folder: Path, shelves: dict[Shelf, Files], layout: str):
        self.folder, self.shelves, self.layout = folder, shelves, layout

    def pages(self, aside: Aside) -> Iterator[Page]:
        """Yield the pages of all splits."""
        columns = ("corpus-id", "corpus_id", "doc-id", "doc_id", "image")
        for shelf, files in self.shelves.items():
            for number, row in rows_in(self.folder, files["corpus"], columns, aside):
                page = first_of(row, "corpus-id", "corpus_id")
                name = shelf.named(number if page is None else page)
                try:
                    image = content(self.folder, row.get("image"), "picture", PICTURE)
                except Unusable as reason:
                    aside(name, str(reason))
                    continue
                document = first_of(row, "doc-id", "doc_id")
                yield Page(name, name if document is None else shelf.named(document), 1, image)

    def questions(self, aside: Aside) -> Iterator[Question]:
        """Yield the questions of all splits, each with what answers it."""
        columns = ("query-id", "query_id", "query", "set", "negatives")
        for shelf, files in self.shelves.items():
            if "queries" not in files:
                continue
            relevant, boxes = _judged(self.folder, files["qrels"], shelf, aside)
            for number, row in rows_in(self.folder, files["queries"], columns, aside):
                name = first_of(row, "query-id", "query_id")
                if name is None:
                    aside(f"question {shelf.named(number)}", "query without an id")
                    continue
                details: dict[str, Any] = {"boxes": boxes[str(name)]} if str(name) in boxes else {}
                if isinstance(row.get("negatives"), list):
                    details["negatives"] = [shelf.named(page) for page in row["negatives"]]
                yield Question(
                    shelf.named(name), text_of(row.get("query")), relevant.get(str(name), {}),
                    text_of(row.get("set")) or shelf.set, shelf.split, details,
                )  # fmt: skip


def page_tables_in(folder: Path) -> PageTables | None:
    """Return the tables of a folder, or None where it has none.

    Raises:
        UserError: Tables are missing or damaged.
    """
    found: dict[Shelf, Files] = defaultdict(dict)
    unreadable = []
    for file, words in parquet_in(folder):
        if not (part := part_of(words)):
            continue
        if not (columns := columns_of(folder, file)):
            unreadable.append(file)
        elif COLUMNS[part] & set(columns):
            found[shelf_of(words)].setdefault(part, []).append(file)
    if unreadable:
        raise damaged(unreadable)
    lacking = []
    for shelf, files in found.items():
        questions = files.keys() - {"corpus"}
        missing = [part for part in PARTS if part not in files and (part == "corpus" or questions)]
        if missing:
            lacking.append(f"{shelf.named('')} has {', '.join(files)} and no {', '.join(missing)}")
    if lacking:
        raise UserError(
            f"The tables of pages in {folder} are incomplete",
            "; ".join(lacking),
            "get what is missing of the same split, or take the others out of the folder",
        )
    tests = _tests_called_train(folder, found)
    shelves = {Shelf(k.set, "test") if k in tests else k: files for k, files in found.items()}
    layout = "VisRAG" if tests == found.keys() else "ViDoRe 2 or 3"
    return PageTables(folder, shelves, layout) if found else None


def _tests_called_train(folder: Path, found: dict[Shelf, Files]) -> set[Shelf]:
    """Return the splits called `train` of test sets: their only one, and VisRAG's, or so called."""
    tests = set()
    for shelf, files in found.items():
        alone = shelf.split == "train" and [other.set for other in found].count(shelf.set) == 1
        called = split_in(Path(shelf.set or folder.resolve()).name)
        if alone and (called == "test" or _is_visrag(folder, files)):
            tests.add(shelf)
    return tests


def _is_visrag(folder: Path, files: Files) -> bool:
    return any(set(columns_of(folder, file)) >= OF_VISRAG for file in files.get("queries", ()))


def _judged(
    folder: Path, files: Sequence[Path], shelf: Shelf, aside: Aside
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, list]]]:
    """Return the grade of each page by question, and where the answers stand on each."""
    found: dict[str, dict[str, int]] = {}
    boxes: dict[str, dict[str, list]] = {}
    columns = ("query-id", "query_id", "corpus-id", "corpus_id", "score", "bounding_boxes")
    for number, row in rows_in(folder, files, columns, aside):
        question = first_of(row, "query-id", "query_id")
        page = first_of(row, "corpus-id", "corpus_id")
        grade = graded(row.get("score", 1))
        if question is None or page is None or grade is None:
            aside(f"question of qrels {number}", "judgement without a question, a page or a grade")
            continue
        held = found.setdefault(str(question), {})
        if held.get(name := shelf.named(page), grade) != grade:
            aside(f"question of qrels {number}", "judgements of a page contradict each other")
            continue
        if grade:
            held[name] = grade
            if found_boxes := _boxes(row.get("bounding_boxes")):
                boxes.setdefault(str(question), {}).setdefault(name, []).extend(found_boxes)
    return found, boxes


def _boxes(held: Any) -> list[list[float]]:
    """Return boxes of ViDoRe 3, texts of JSON or lists, as corners."""
    if isinstance(held, str):
        try:
            held = json.loads(held)
        except ValueError:
            return []
    found = []
    for box in held if isinstance(held, list) else []:
        values = [box.get(k) for k in ("x1", "y1", "x2", "y2")] if isinstance(box, dict) else box
        if isinstance(values, list) and len(values) == 4 and all(is_number(v) for v in values):
            x0, y0, x1, y1 = map(float, values)
            found.append([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)])
    return found


def graded(value: Any) -> int | None:
    """Return a grade of relevance, a whole number up to `MOST_GRADE`; None of anything else.

    >>> graded(2), graded(1.0), graded(True), graded(0.5), graded(10**9)
    (2, 1, None, None, None)
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_GRADE else None
