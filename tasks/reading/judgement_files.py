"""Whole files of judgements: JSON lists, CSV and Parquet in a public layout.

Their columns tell whether they are (`tasks/reading/judgements.py`), and so do the conversations of
UnifiedReward's training sets (`tasks/reading/llava_conversations.py`); JSONL and data sets that
`save_to_disk` wrote have readers of their own, which know the same columns.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tasks.reading.checks import Record, unusable
from tasks.reading.files import ANNOTATIONS, open_data, read_json
from tasks.reading.judgements import layout_of
from tasks.reading.llava_conversations import CONVERSATIONS, conversation_sample
from tasks.reading.splits import Splits, split_in
from tasks.reading.tables import COLUMNS, Part, parquet_rows, sample_from
from tasks.reading.vlmevalkit import OTHER_COLUMNS, columns_in, rows_in
from tasks.running.errors import UserError

PATTERNS = ("*.json", "*.csv", "*.parquet", "*/*.parquet")  # the hub has Parquet in folders
Files = dict[Path, tuple[str, ...]]


def judgement_files(folder: Path) -> Files:
    """Return the JSON, CSV and Parquet files of a folder, if one of them holds judgements.

    With each come the columns that tell its layout; nothing where it has none.
    """
    files = sorted(chain.from_iterable(map(folder.glob, PATTERNS)))
    known = {file: _layout(_columns(folder, file)) for file in files}
    return known if any(known.values()) else {}


def judgement_records(folder: Path, files: Files, splits: Splits) -> Iterator[Record]:
    """Yield the judgement of every row; a file's name says the split of rows that do not."""
    for file, layout in files.items():
        name = str(file.relative_to(folder).with_suffix(""))
        part = Part(folder, splits, split_in(file.stem), name if len(files) > 1 else "")
        if not layout:
            yield unusable(file.name, "file of no known layout")
            continue
        for number, row in enumerate(_rows(folder, file), start=1):
            id = f"{name}:{number}"
            if isinstance(row, str):
                yield unusable(id, row)
            elif layout == CONVERSATIONS:
                yield id, partial(conversation_sample, row, id, part)
            else:  # a row that lacks a column is one without its value
                yield id, partial(sample_from, dict.fromkeys(layout) | row, id, part)


def _layout(columns: set[str]) -> tuple[str, ...]:
    if columns.issuperset(CONVERSATIONS):
        return CONVERSATIONS
    layout = layout_of(columns)
    return layout.columns if layout else ()


def _columns(folder: Path, file: Path) -> set[str]:
    if file.suffix == ".csv":
        with contextlib.suppress(UserError):  # any other table may lie beside pictures
            return set(columns_in(folder, file, ","))
        return set()
    if file.suffix == ".parquet":
        return set(next(parquet_rows(folder, file, COLUMNS), ({}, None))[0])
    return set().union(*(row for row in _list_in(folder, file) if isinstance(row, dict)))


def _rows(folder: Path, file: Path) -> Iterator[dict[str, Any] | str]:
    """Yield the rows of a file, or why one cannot be used."""
    if file.suffix == ".csv":
        for row in rows_in(folder, file, ","):
            yield OTHER_COLUMNS if None in row or None in row.values() else row
    elif file.suffix == ".parquet":
        for row, odd in parquet_rows(folder, file, COLUMNS):
            yield str(odd) if odd else row
    else:
        for row in _list_in(folder, file):
            yield row if isinstance(row, dict) else "row is not a JSON object"


def _list_in(folder: Path, file: Path) -> list[Any]:
    """Return the list that a JSON file is; none of another, as large annotations are objects."""
    with open_data(folder, file) as opened:
        if not opened.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            return []
    return read_json(folder, file, ANNOTATIONS)
