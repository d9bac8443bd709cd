"""Parquet files of questions, as a snapshot of the Hugging Face Hub holds them.

    data/train-00000-of-00001.parquet with `image`, `problem`, `solution`, `problem_type`

Pictures are stored in the table, or are paths inside the folder; the file's name says the split.
Columns are those of JSONL (`tasks/reading/tables.py`).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.reading.checks import Record, unusable
from tasks.reading.splits import Splits, split_in
from tasks.reading.tables import (
    ANSWER_NAMES,
    COLUMNS,
    PROMPT_NAMES,
    TURN_NAMES,
    Part,
    parquet_rows,
    sample_from,
)


def question_tables(folder: Path) -> list[Path]:
    """Return the Parquet files, here and one folder below, with a question and an answer."""
    return [
        file
        for file in sorted({*folder.glob("*.parquet"), *folder.glob("*/*.parquet")})
        if _asks(set(next(parquet_rows(folder, file, COLUMNS), ({}, None))[0]))
    ]


def table_records(folder: Path, files: list[Path], splits: Splits) -> Iterator[Record]:
    """Yield the question of every row."""
    for file in files:
        stem = file.relative_to(folder).with_suffix("").as_posix()
        part = Part(folder, splits, split_in(file.stem), stem if len(files) > 1 else "")
        for number, (row, odd) in enumerate(parquet_rows(folder, file, COLUMNS), start=1):
            name = f"{stem}:{number}"
            yield unusable(name, str(odd)) if odd else (
                name, partial(sample_from, row, name, part)
            )  # fmt: skip


def _asks(columns: set[str]) -> bool:
    return bool(columns & set(TURN_NAMES)) or bool(
        columns & set(PROMPT_NAMES) and columns & set(ANSWER_NAMES)
    )
