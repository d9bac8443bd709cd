"""VLMEvalKit's TSV, the layout of its benchmarks: a row per question, the picture in base64.

    index	image	question	A	B	answer	category
    0	iVBORw0…	Which colour is it?	red	blue	A	colour

is a question of metric `exact` with the options below it, whose answer is "A". A picture of up to
64 characters is the `index` of an earlier row that has it; `image_path` names a file instead. What
says no split is for testing, as benchmarks are.
"""

import base64
import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import BinaryIO

from tasks.prompts import prompt
from tasks.reading.checks import Record, Unusable, unusable
from tasks.reading.files import LINE, MB, lines_in, open_data
from tasks.reading.pictures import read_picture
from tasks.reading.splits import Splits, our_name, split_in
from tasks.reading.turns import marked
from tasks.records.rows import Sample
from tasks.running.errors import UserError

NEEDED = {"index", "question", "answer"}
REFERENCE = 64  # characters; a picture has more
OTHER_COLUMNS = "row with other columns than the first"


def evaluation_tables(folder: Path) -> list[Path]:
    """Return the TSV files of a data folder that have VLMEvalKit's columns."""
    return [
        file for file in sorted(folder.glob("*.tsv")) if set(columns_in(folder, file)) >= NEEDED
    ]


def evaluation_records(folder: Path, files: list[Path], splits: Splits) -> Iterator[Record]:
    """Yield the question of every row; its split is that of its column, or of its file's name.

    Raises:
        UserError: A file is a link out of the folder, or no table in UTF-8.
    """
    for file in files:
        named = f"{file.stem}:" if len(files) > 1 else ""
        wanted = {row["image"] for row in rows_in(folder, file) if _is_reference(row)}
        pictures: dict[str, str] = {}
        for number, row in enumerate(rows_in(folder, file), start=1):
            if None in row or None in row.values():
                yield unusable(f"{file.stem}:{number}", OTHER_COLUMNS)
                continue
            if _is_reference(row):
                row["image"] = pictures.get(row["image"], "")
            elif row["index"] in wanted:
                pictures[row["index"]] = row["image"]
            name = f"{named}{row['index'] or number}"
            yield name, partial(_sample, folder, row, name, splits, split_in(file.stem))


def _sample(folder: Path, row: dict[str, str], name: str, splits: Splits, said: str) -> Sample:
    question = "\n".join(text for text in (row.get("hint", ""), row["question"]) if text)
    if not question.strip():
        raise Unusable("empty prompt")
    options = {letter: row[letter] for letter in ascii_uppercase if row.get(letter)}
    if options and row["answer"] not in options:
        raise Unusable("answer that is the letter of no option")
    if row["answer"].startswith("[") and row["answer"].endswith("]"):
        raise Unusable("answer is a list of several")
    if options:
        listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
        question = prompt("benchmarks/choose", question=question, options=listed)
    if row.get("image_path"):
        images = [read_picture(folder, row["image_path"])]
    else:
        images = [_decoded(row.get("image", ""))]
    return Sample(
        id=name,
        task=row.get("category") or "question",
        split=splits.told(our_name(row.get("split", "")) or said or "test"),
        prompt=marked(question, len(images)),
        metric="exact",
        answer=row["answer"],
        images=images,
        details={"options": options} if options else {},
    )


def _decoded(text: str) -> bytes:
    if not text:
        raise Unusable("no picture")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Unusable("picture is not base64") from error


def _is_reference(row: dict[str, str]) -> bool:
    return 0 < len(row.get("image") or "") <= REFERENCE


def columns_in(folder: Path, file: Path, delimiter: str = "\t") -> list[str]:
    """Return the first row of a table."""
    with open_data(folder, file) as opened:
        return next(csv.reader(_text(opened, file), delimiter=delimiter), [])


def rows_in(folder: Path, file: Path, delimiter: str = "\t") -> Iterator[dict[str, str]]:
    """Yield the rows of a table; one of another length has the key or the value None.

    Raises:
        UserError: It is no table, or not in UTF-8.
    """
    csv.field_size_limit(LINE)  # a picture is one field; the default is 128 kB
    with open_data(folder, file) as opened:
        try:
            yield from csv.DictReader(_text(opened, file), delimiter=delimiter)
        except csv.Error as error:
            raise _no_table(file, str(error)) from None


def _text(opened: BinaryIO, file: Path) -> Iterator[str]:
    for number, line in enumerate(lines_in(opened), start=1):
        if line is None:
            raise _no_table(file, f"line {number} is longer than {LINE // MB} MB")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise _no_table(file, f"line {number} is not UTF-8") from None


def _no_table(file: Path, why: str) -> UserError:
    return UserError(
        f"{file} is no table that can be read", why, "write it again in UTF-8, or remove it"
    )
