"""Parquet files of pages and questions: the set and split that they belong to, and their rows.

    ChartQA/corpus/train-00000-of-00001.parquet

is of the set `ChartQA`, its split `train`, and a part of it, `corpus`. Several sets may lie beside
each other in a folder, each in its own: pages of the same name in two of them are two pages.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from models.vlm.bounded import first_line
from tasks.reading.arrow import rows_of
from tasks.reading.files import open_data
from tasks.reading.splits import IN_FILE_NAME, NAMES
from tasks.running.errors import UserError

PARTS = ("corpus", "queries", "qrels")
# Of a folder. `eval` is what sentence-transformers' own sets of triplets call what chooses a step.
SPLIT_OF = NAMES | {"eval": "dev"}
BELOW = {"data", "default", *SPLIT_OF}  # folders that are no name of a set
ROWS = 32  # read at a time, as they hold pictures
Row = dict[str, Any]
Aside = Callable[[str, str], None]  # notes what is set aside: its name and why


@dataclass(frozen=True)
class Shelf:
    """A split of a set, whose pages and questions are named alike.

    >>> Shelf("ChartQA", "test").named(7), Shelf("", "train").named("7.png")
    ('ChartQA/test/7', 'train/7.png')
    """

    set: str
    split: str

    def named(self, name: object) -> str:
        """Return the name of a page or a question among all of the folder."""
        return "/".join(filter(None, (self.set, self.split, str(name))))


def shelf_of(words: Sequence[str]) -> Shelf:
    """Return what a file belongs to.

    Args:
        words: Its path below the data folder.

    >>> shelf_of(("ChartQA", "corpus", "train-00000-of-00001.parquet"))
    Shelf(set='ChartQA', split='train')
    >>> shelf_of(("data", "validation.parquet")), shelf_of(("queries.parquet",))
    (Shelf(set='', split='dev'), Shelf(set='', split='test'))
    """
    low = [word.lower() for word in words]
    found = IN_FILE_NAME.search(low[-1])
    split = next((SPLIT_OF[word] for word in low[:-1] if word in SPLIT_OF), None)
    split = split or (NAMES[found[1]] if found else "test")
    depth = next(
        (n for n, word in enumerate(low[:-1]) if word in BELOW or word.startswith(PARTS)),
        len(words) - 1,
    )
    return Shelf("/".join(words[:depth]), split)


def part_of(words: Sequence[str]) -> str:
    """Return which part of a set a file holds, or nothing.

    >>> part_of(("corpora", "qrels", "test.parquet")), part_of(("data", "test.parquet"))
    ('qrels', '')
    """
    low = [word.lower() for word in reversed(words)]
    return next((part for word in low for part in PARTS if word.startswith(part)), "")


def parquet_in(folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the Parquet files of a folder, each with its path below it."""
    for file in sorted(folder.rglob("*.parquet")):
        yield file, file.relative_to(folder).parts


def columns_of(folder: Path, file: Path) -> list[str]:
    """Return the columns of a file; none of one that is damaged or no Parquet."""
    with open_data(folder, file) as opened, contextlib.suppress(pa.ArrowException, OSError):
        return pq.ParquetFile(opened).schema_arrow.names
    return []


def rows_in(
    folder: Path, files: Sequence[Path], columns: Sequence[str], aside: Aside
) -> Iterator[tuple[int, Row]]:
    """Yield the rows of some files with their number among all of them, from 0.

    Raises:
        UserError: A file is damaged.
    """
    number = -1
    for file in files:
        with open_data(folder, file) as opened:
            for batch in _batches(opened, file, columns):
                for row, odd in rows_of(batch, columns):
                    number += 1
                    if odd:
                        aside(f"{file.name}:{number}", str(odd))
                    else:
                        yield number, row


def _batches(opened: BinaryIO, file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file; other columns are not read, as questions have pictures beside."""
    try:
        table = pq.ParquetFile(opened)
        there = [name for name in columns if name in table.schema_arrow.names]
        yield from table.iter_batches(ROWS, columns=there)
    except (pa.ArrowException, OSError) as error:
        raise damaged([file], first_line(error)) from None


def damaged(files: Sequence[Path], detail: str = "") -> UserError:
    """Return the message about files that cannot be read, all of them at once."""
    others = f", nor can {', '.join(file.name for file in files[1:])}" if files[1:] else ""
    return UserError(
        f"{files[0].name} cannot be read{others}",
        "damaged, or no Parquet" + (f" ({detail})" if detail else ""),
        "get what is damaged again, or take it out of the folder",
    )


def first_of(row: Row, *names: str) -> Any:
    """Return the first of some columns that has a value.

    >>> first_of({"corpus-id": None, "corpus_id": 7}, "corpus-id", "corpus_id")
    7
    """
    return next((row[name] for name in names if row.get(name) is not None), None)


def text_of(value: Any) -> str:
    """Return a text, and nothing for another value; a text without words is set aside later."""
    return value if isinstance(value, str) else ""


def is_number(value: Any) -> bool:
    """Return whether a value is a number that can be counted with.

    >>> is_number(0.5), is_number(True), is_number(math.nan)
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
