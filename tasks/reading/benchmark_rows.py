"""MathVista, MathVision and MMStar in the files that their authors released.

    {"pid": "1", "query": "Hint: … Question: …", "question_type": "free_form", "answer": "1.2",
     "answer_type": "float", "precision": 1.0, "image": "images/1.jpg"}

is a question of MathVista (arXiv 2310.02255), metric `typed`, compared with one decimal. Each comes
as Parquet of the Hub with the picture in the table, or as JSON or JSONL beside `images/`. MMBench,
and MMStar as VLMEvalKit ships it, are tables of `tasks/reading/vlmevalkit.py`. All is for testing.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.prompts import prompt
from tasks.reading.asked_rows import Place, text_in
from tasks.reading.checks import Record, Unusable, gathered, unusable
from tasks.reading.files import ANNOTATIONS, PICTURE, content, lines_in, open_data, read_json
from tasks.reading.pictures import PictureFolder
from tasks.reading.splits import Splits
from tasks.reading.tables import parquet_rows
from tasks.records.rows import Sample
from tasks.rewards.choices import LETTERS, options_in
from tasks.running.errors import UserError

PATTERNS = ("*.parquet", "*/*.parquet", "*.json", "*.jsonl", "data/*.json", "data/*.jsonl")
HEAD = 2**16  # bytes of a JSON file in which the names of its columns stand
_IMAGE_MARK = re.compile(r"\s?<image\d+>")  # all pictures of a question of MathVision are one
Row = dict[str, Any]
Asked = Callable[[Row, Place], Sample]


def benchmark_files(folder: Path) -> dict[Path, str]:
    """Return the files of a folder that hold a benchmark, and which each is of."""
    files = sorted({file for pattern in PATTERNS for file in folder.glob(pattern)})
    found = {file: _layout(folder, file) for file in files}
    return {file: layout for file, layout in found.items() if layout}


def benchmark_records(folder: Path, files: dict[Path, str], splits: Splits) -> Iterator[Record]:
    """Yield the question of every row."""
    pictures = PictureFolder(folder)
    for file, layout in files.items():
        stem = f"{file.relative_to(folder).with_suffix('').as_posix()}:" if len(files) > 1 else ""
        for number, row in enumerate(_rows(folder, file, layout), start=1):
            if isinstance(row, str):
                yield unusable(f"{file.stem}:{number}", row)
                continue
            ids = (row.get(key) for key in ("pid", "id", "index"))
            name = f"{stem}{next((id for id in ids if isinstance(id, str | int)), number)}"
            place = Place(folder, pictures, splits, file, name)
            yield name, partial(_sample, LAYOUTS[layout][1], row, place)


def _layout(folder: Path, file: Path) -> str:
    there: set[str] = set()
    with contextlib.suppress(UserError):  # a link or a damaged file, which its own reader tells
        if file.suffix == ".parquet":
            columns = tuple(name for needed, _ in LAYOUTS.values() for name in needed)
            there = set(next(parquet_rows(folder, file, columns), ({}, None))[0])
        else:
            with open_data(folder, file) as opened:
                head = opened.read(HEAD).decode("utf-8", "ignore")
            there = set(re.findall(r'"(\w+)"\s*:', head))
    return next((name for name, (needed, _) in LAYOUTS.items() if there >= set(needed)), "")


def _rows(folder: Path, file: Path, layout: str) -> Iterator[Row | str]:
    """Yield each row, or why it cannot be used."""
    if file.suffix == ".parquet":
        columns = (*LAYOUTS[layout][0], *MORE_COLUMNS)
        yield from (str(odd) if odd else row for row, odd in parquet_rows(folder, file, columns))
        return
    if file.suffix == ".jsonl":
        with open_data(folder, file) as opened:
            for line in lines_in(opened):
                yield from _parsed(line)
        return
    rows = read_json(folder, file, ANNOTATIONS)
    if isinstance(rows, dict):  # MathVista's, by `pid`
        rows = [
            {"pid": pid} | row if isinstance(row, dict) else row
            for pid, row in rows.items()
        ]  # fmt: skip
    for row in rows if isinstance(rows, list) else []:
        yield row if isinstance(row, dict) else "row is not a JSON object"


def _parsed(line: bytes | None) -> Iterator[Row | str]:
    if line is None or not line.strip():
        yield from islice(["line is too long"], line is None)
        return
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        yield "line is not JSON"
        return
    yield row if isinstance(row, dict) else "line is not a JSON object"


def _sample(read: Asked, row: Row, place: Place) -> Sample:
    try:
        return read(row, place)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unusable("row of another form than its file's") from error


def _vista(row: Row, place: Place) -> Sample:
    """MathVista: the authors' own words (`query`) ask for a letter or for as many decimals."""
    choices = [text_in(choice) for choice in row.get("choices") or []]
    options = _by_letter(choices)
    gold = _present(row)
    details: dict[str, Any] = {"problem_type": "multiple-choice" if choices else "short-answer"}
    if choices:
        if gold not in choices:
            raise Unusable("answer that is none of the options")
        gold = LETTERS[choices.index(gold)]
        details["options"] = options
    elif row["answer_type"] in ("integer", "float"):
        details["problem_type"] = "numerical"
        if row.get("precision") is not None:
            details["decimals"] = int(row["precision"])
    question = text_in(row.get("query") or "") or _chosen_from(text_in(row["question"]), options)
    return _asked(place, "mathvista", question, gold, details, row)


def _vision(row: Row, place: Place) -> Sample:
    """MathVision (arXiv 2402.14804): options may be bare letters, which the picture shows."""
    options = _by_letter([text_in(option) for option in row["options"] or []])
    gold = _present(row)
    if options and gold not in options:
        raise Unusable("answer that is the letter of no option")
    kind = {"problem_type": "multiple-choice", "options": options} if options else {}
    question = _IMAGE_MARK.sub("", text_in(row["question"])).strip()
    task = f"mathvision_{text_in(row['subject']).replace(' ', '_')}"
    return _asked(place, task, _chosen_from(question, options), gold, kind, row)


def _star(row: Row, place: Place) -> Sample:
    """MMStar (arXiv 2403.20330): the options stand in the question."""
    question, gold = text_in(row["question"]), _present(row)
    options = options_in(question)
    if not options or gold not in options:
        raise Unusable("answer that is the letter of no option")
    details = {"problem_type": "multiple-choice", "options": options}
    asked = prompt("benchmarks/letter", question=question)
    task = f"mmstar_{text_in(row['category']).replace(' ', '_')}"
    return _asked(place, task, asked, gold, details, row)


def _present(row: Row) -> str:
    gold = text_in("" if row["answer"] is None else row["answer"])
    if not gold:
        raise Unusable("empty answer")  # as in MathVista's `test`
    return gold


def _by_letter(texts: list[str]) -> dict[str, str]:
    if len(texts) > len(LETTERS):
        raise Unusable(f"more than {len(LETTERS)} options")
    return dict(zip(LETTERS, texts, strict=False))


def _chosen_from(question: str, options: dict[str, str]) -> str:
    if not options:
        return question
    listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
    return prompt("benchmarks/choose", question=question, options=listed)


def _asked(
    place: Place, task: str, question: str, gold: str, details: dict[str, Any], row: Row
) -> Sample:
    stored = row.get("decoded_image") or row["image"]
    if isinstance(stored, str):
        image = place.pictures.read(stored)
    else:
        image = content(place.folder, stored, "picture", PICTURE)
    [image] = gathered([image])
    return Sample(
        id=place.name, task=task, split=place.splits.told("test"), prompt=question, metric="typed",
        final=gold, images=[image], details=details,
    )  # fmt: skip


LAYOUTS: dict[str, tuple[tuple[str, ...], Asked]] = {
    "MathVista": (("question", "question_type", "answer_type", "precision", "answer"), _vista),
    "MathVision": (("question", "options", "answer", "level", "subject"), _vision),
    "MMStar": (("question", "answer", "category", "l2_category", "meta_info"), _star),
}
MORE_COLUMNS = ("pid", "id", "index", "query", "choices", "image", "decoded_image")
