"""Public tables of pages and questions, as Parquet.

    corpus.parquet: {"corpus-id": "7", "image": …}
    queries.parquet: {"query-id": "1", "query": "What was sold in May?"}
    qrels.parquet: {"query-id": "1", "corpus-id": "7", "score": 1}

is the layout of ViDoRe 2 and 3 (hyphens or underscores, graded scores); a table of rows with
`query`, `image` and `image_filename` is that of ViDoRe 1, where a page that several questions are
about stands in several rows. The files, or the folders that they are in, are named by their split.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from models.vlm.bounded import first_line
from tasks.reading.arrow import rows_of
from tasks.reading.checks import Unusable
from tasks.reading.files import PICTURE, content, open_data
from tasks.reading.splits import IN_FILE_NAME, NAMES
from tasks.records.pages import Page, Question
from tasks.running.errors import UserError

PARTS = ("corpus", "queries", "qrels")
MOST_GRADE = 100  # trec_eval keeps a list as long as the highest one
ROWS = 32  # read at a time, as they hold pictures
Row = dict[str, Any]
Aside = Callable[[str, str], None]  # notes what is set aside: its name and why


@dataclass
class Tables:
    """The tables of a folder.

    Attributes:
        parts: Files of a split, by what they hold: `corpus`, `queries`, `qrels`, or `rows`.
    """

    folder: Path
    parts: dict[str, dict[str, list[Path]]] = field(default_factory=dict)


def tables_in(folder: Path) -> Tables | None:
    """Return the tables of a folder; None where it has none of these layouts."""
    found = Tables(folder)
    for file in sorted(folder.rglob("*.parquet")):
        words = [part.lower() for part in file.relative_to(folder).parts]
        part = next((p for p in PARTS for word in words if word.startswith(p)), "")
        if not part and {"query", "image"} <= set(_columns(folder, file)):
            part = "rows"
        if part:
            found.parts.setdefault(_split(words), {}).setdefault(part, []).append(file)
    whole = all("rows" in held or set(PARTS) <= held.keys() for held in found.parts.values())
    return found if found.parts and whole else None


def _columns(folder: Path, file: Path) -> list[str]:
    """Return the columns of a file; none of one that is no table, which is nobody's page then."""
    with open_data(folder, file) as opened, contextlib.suppress(pa.ArrowException, OSError):
        return pq.ParquetFile(opened).schema_arrow.names
    return []


def pages_of(tables: Tables, aside: Aside) -> Iterator[Page]:
    """Yield the pages of all splits."""
    for split, held in tables.parts.items():
        seen: set[str] = set()
        files = held.get("corpus") or held["rows"]
        columns = ("corpus-id", "corpus_id", "doc-id", "doc_id", "image", "image_filename")
        for number, row in _rows(tables.folder, files, columns, aside):
            name = _first(row, "corpus-id", "corpus_id", "image_filename")
            name = f"{split}/{number}" if name is None else f"{split}/{name}"
            if name in seen and "rows" in held:
                continue  # the same page, of another question
            seen.add(name)
            try:
                image = content(tables.folder, row.get("image"), "picture", PICTURE)
            except Unusable as reason:
                aside(name, str(reason))
                continue
            document = _first(row, "doc-id", "doc_id")
            yield Page(name, str(name if document is None else f"{split}/{document}"), 1, image)


def questions_of(tables: Tables, aside: Aside) -> Iterator[Question]:
    """Yield the questions of all splits, each with what answers it."""
    for split, held in tables.parts.items():
        if "rows" in held:
            columns = ("query", "image_filename", "set")
            for number, row in _rows(tables.folder, held["rows"], columns, aside):
                if row.get("query") is None:
                    continue  # a page that nobody asks about
                page = row.get("image_filename")
                relevant = {f"{split}/{number if page is None else page}": 1}
                yield _question(f"{split}/{number}", row, relevant, split, {})
            continue
        relevant_to, details = _relevant(tables, held["qrels"], split, aside)
        named = ("query-id", "query_id", "query", "set", "negatives")
        for _, row in _rows(tables.folder, held["queries"], named, aside):
            name = str(_first(row, "query-id", "query_id"))
            told: dict[str, Any] = {}
            if boxes := details.get(name):
                told["boxes"] = boxes
            if isinstance(row.get("negatives"), list):
                told["negatives"] = [f"{split}/{page}" for page in row["negatives"]]
            yield _question(f"{split}/{name}", row, relevant_to.get(name, {}), split, told)


def _relevant(
    tables: Tables, files: Sequence[Path], split: str, aside: Aside
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, list]]]:
    """Return the grade of each page by question, and where the answers stand on each."""
    found: dict[str, dict[str, int]] = {}
    boxes: dict[str, dict[str, list]] = {}
    columns = ("query-id", "query_id", "corpus-id", "corpus_id", "score", "bounding_boxes")
    for number, row in _rows(tables.folder, files, columns, aside):
        question = _first(row, "query-id", "query_id")
        page = _first(row, "corpus-id", "corpus_id")
        grade = graded(row.get("score", 1))
        if question is None or page is None or grade is None:
            aside(f"question of qrels {number}", "judgement without a question, a page or a grade")
            continue
        held = found.setdefault(str(question), {})
        if held.get(name := f"{split}/{page}", grade) != grade:
            aside(f"question of qrels {number}", "judgements of a page contradict each other")
            continue
        if grade:
            held[name] = grade
            if found_boxes := _boxes(row.get("bounding_boxes")):
                boxes.setdefault(str(question), {}).setdefault(name, []).extend(found_boxes)
    return found, boxes


def _question(name: str, row: Row, relevant: dict[str, int], split: str, details: Row) -> Question:
    text = row.get("query")
    return Question(
        name, text if isinstance(text, str) else "", relevant, str(row.get("set") or ""),
        split, details,
    )  # fmt: skip


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
        if isinstance(values, list) and len(values) == 4 and all(_is_number(v) for v in values):
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rows(
    folder: Path, files: Sequence[Path], columns: Sequence[str], aside: Aside
) -> Iterator[tuple[int, Row]]:
    number = -1
    for file in files:
        with open_data(folder, file) as opened:
            for batch in _batches(opened, file):
                for row, odd in rows_of(batch, columns):
                    number += 1
                    if odd:
                        aside(f"{file.name}:{number}", str(odd))
                    else:
                        yield number, row


def _batches(opened: BinaryIO, file: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in batches.

    Raises:
        UserError: It is damaged.
    """
    try:
        yield from pq.ParquetFile(opened).iter_batches(ROWS)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{file.name} cannot be read",
            f"it is damaged, or no Parquet ({first_line(error)})",
            "get the file again, or take it out of the folder",
        ) from None


def _first(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _split(words: Sequence[str]) -> str:
    for word in words[:-1]:
        if word in NAMES:
            return NAMES[word]
    found = IN_FILE_NAME.search(words[-1])
    return NAMES[found[1]] if found else "test"
