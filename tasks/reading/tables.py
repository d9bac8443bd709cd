"""Tables with a row per sample: JSONL beside pictures, Parquet, and our own shards.

A value is understood or refused: nothing is made to fit. Texts may be numbers, as in "answer": 12;
they are no lists, objects or truth values. An answer in tags, as R1-V and others write it, is the
value in them:

    {"problem": "Which colour?", "solution": "<answer> red </answer>"}

is a question of metric `final` whose `final` is "red", and of metric `typed` where a column
`problem_type` says how it is compared, as Visionary-R1's data does. There a `solution` without tags
is no answer.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.asking.answers import Malformed, read_answer
from tasks.reading import judgements
from tasks.reading.arrow import rows_of
from tasks.reading.checks import Record, Unusable, gathered, picture_size, unusable
from tasks.reading.files import LINE, MB, PICTURE, content, lines_in, open_data
from tasks.reading.splits import Splits, our_name, split_in
from tasks.reading.turns import Said, marked, said_in
from tasks.records.judgements import sample_of_judgement
from tasks.records.rows import Sample, read_batches, sample_of
from tasks.running.errors import UserError

# Names that other projects use for our columns.
PROMPT_NAMES = ("prompt", "problem", "question", "query", "instruction")
TURN_NAMES = ("messages", "conversations")  # of both, question and answer
ANSWER_NAMES = ("answer", "solution", "response", "completion", "label_text", "caption")
IMAGE_NAMES = ("images", "image", "image_path", "image_paths", "file_name")
# What of a row is looked at.
COLUMNS = tuple(dict.fromkeys((
    *PROMPT_NAMES, *TURN_NAMES, *ANSWER_NAMES, *IMAGE_NAMES, "id", "task", "split", "metric",
    "boxes", "corners", "box_frame", "label", "final", "details", "cot", "problem_type",
    *judgements.COLUMNS,
)))  # fmt: skip
FIELDS = tuple(Sample.model_fields)
UNTAGGED = "solution without <answer> tags"
# What a record of the wrong shape raises; RecursionError comes from deeply nested JSON.
MALFORMED = (KeyError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True)
class Part:
    """A part of a data set: a file, or a split of a saved one.

    Attributes:
        split: What its name says; nothing if it does not.
        name: Stands before the ids of its records; nothing where there is one part only.
    """

    folder: Path
    splits: Splits
    split: str
    name: str


def own_shards(folder: Path, splits: Splits) -> Iterator[Record]:
    """Yield the records of Parquet shards that a stage wrote.

    Raises:
        UserError: A shard is damaged or a link, or its rows stand for nothing that is in it.
    """
    number = 0
    for part in sorted(folder.glob("part-*.parquet")):
        for row, odd in parquet_rows(folder, part, FIELDS):
            id = row.get("id") or f"row:{number}"
            name = id if isinstance(id, str) else f"row:{number}"
            yield unusable(name, str(odd)) if odd else (
                name, partial(_from_shard, row | {"id": id}, splits)
            )  # fmt: skip
            number += 1


def parquet_rows(
    folder: Path, file: Path, columns: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], Unusable | None]]:
    """Yield each row of a Parquet file as its values in some columns, and why it cannot be used.

    Raises:
        UserError: It is damaged or a link, or its rows stand for nothing that is in it.
    """
    with open_data(folder, file) as opened:
        left = os.fstat(opened.fileno()).st_size
        for batch in read_batches(opened, file, columns):
            left -= batch.num_rows
            if left < 0:  # one value for all
                raise UserError(
                    f"{file} cannot be used",
                    "it has more rows than bytes",
                    "restore the file, or write it again",
                )
            yield from rows_of(batch, columns)


def _from_shard(row: dict[str, Any], splits: Splits) -> Sample:
    try:
        sample = sample_of(row)
    except MALFORMED as error:
        raise _misfit(error) from error
    sample.split = splits.told(sample.split)
    return sample


def json_lines(folder: Path, files: list[Path], splits: Splits) -> Iterator[Record]:
    """Yield the records of JSONL files, whose pictures are paths inside the folder.

    A file's name says the split of records that do not. Of several files, each may number its
    records anew: its name stands before their ids.
    """
    for file in files:
        part = Part(folder, splits, split_in(file.stem), file.stem if len(files) > 1 else "")
        with open_data(folder, file) as opened:  # as bytes: text also ends a line at U+2028
            for number, line in enumerate(lines_in(opened), start=1):
                name = f"{file.stem}:{number}"
                if line is None:
                    yield unusable(name, f"line is longer than {LINE // MB} MB")
                elif line.strip():
                    yield name, partial(_from_json, line, name, part)


def _from_json(line: bytes, name: str, part: Part) -> Sample:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Unusable("line is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Unusable("line is not JSON") from error
    if not isinstance(row, dict):
        raise Unusable("line is not a JSON object")
    return sample_from(row, name, part)


def sample_from(row: dict[str, Any], name: str, part: Part) -> Sample:
    """Return the sample that a row of a user's table stands for.

    Args:
        name: The sample's id where the row has none.

    Raises:
        Unusable: It cannot be understood.
    """
    try:
        return _understood(row, name, part)
    except MALFORMED as error:
        raise _misfit(error) from error


def _understood(row: dict[str, Any], name: str, part: Part) -> Sample:
    if layout := judgements.layout_of(row):
        return _judged(row, name, part, layout)
    question, answer, named = _asked_and_answered(row)
    pictures = _first(row, IMAGE_NAMES, default=[])
    pictures = pictures if isinstance(pictures, list) else [pictures]
    if pictures and named:
        raise Unusable("pictures both in the text and beside it")
    images = gathered(
        content(part.folder, picture, "picture", PICTURE) for picture in pictures or named
    )
    details = row.get("details") or {}
    details = json.loads(details) if isinstance(details, str) else details
    if cot := text_in(row, "cot"):
        details = details | {"cot": cot}
    corners = row.get("boxes") or row.get("corners") or []
    final, metric = text_in(row, "final"), row.get("metric")
    tagged = "answer>" in answer
    if not final and not corners and tagged and metric in (None, "", "final", "typed"):
        final, metric = _untagged(answer), metric or "final"
    said = answer if row.get("answer") is not None else ""  # what no tags need to mark
    if (kind := text_in(row, "problem_type")) and metric in (None, "", "final", "typed"):
        final, metric = final or said, "typed"
        details = details | {"problem_type": kind}
        if answer and not (final or tagged):
            raise Unusable(UNTAGGED)
    elif not (final or corners or metric or said) and row.get("solution") is not None:
        details = details | {"untagged": True}  # `typed_question` refuses it
    return Sample(
        id=_id(text_in(row, "id"), name, part),
        task=text_in(row, "task") or "question",
        split=part.splits.told(_said_split(row, part)),
        prompt=marked(question, len(images)),
        metric=metric or ("detections" if corners else "exact"),
        answer=answer,
        images=images,
        corners=_in_pixels(corners, row.get("box_frame"), images),
        label=text_in(row, "label"),
        final=final,
        details=details,
    )


def _judged(row: dict[str, Any], name: str, part: Part, layout: judgements.Layout) -> Sample:
    judgement, public = layout.read(row, part.folder), judgements.public_id(row, layout)
    if layout.benchmark:
        id, said = name, "test"
    else:
        id, said = _id(public, name, part), _said_split(row, part)
    details = judgement.details | ({"id": public} if public else {})
    return sample_of_judgement(
        replace(judgement, id=id, split=part.splits.told(said), details=details)
    )


def _id(id: str, name: str, part: Part) -> str:
    return f"{part.name}:{id}" if id and part.name else id or name


def _said_split(row: dict[str, Any], part: Part) -> str:
    return our_name(text_in(row, "split")) or part.split


def _asked_and_answered(row: dict[str, Any]) -> tuple[str, str, list[Any]]:
    """Return the question, its answer, and the pictures that a conversation names itself."""
    turns = _first(row, TURN_NAMES, default=None)
    prompt = _first(row, PROMPT_NAMES, default="")
    if turns is not None:
        if prompt:
            raise Unusable("both messages and a prompt")
        said = said_in(turns, "messages")
        given = text_in(row, *ANSWER_NAMES)
        if given and said.assistant:
            raise Unusable("an answer both in the messages and beside them")
        return _only(said, "messages"), given or "".join(said.assistant), said.pictures
    answer = _first(row, ANSWER_NAMES, default="")
    if isinstance(answer, list) and answer and isinstance(answer[0], dict):
        answered = said_in(answer, "answer")
        if answered.user or answered.marks:
            raise Unusable("answer with a user turn or a picture")
        row = row | {"answer": "".join(answered.assistant)}
    answer = text_in(row, *ANSWER_NAMES)
    if not isinstance(prompt, list):
        return text_in(row, *PROMPT_NAMES), answer, []
    said = said_in(prompt, "prompt")
    if said.assistant:
        raise Unusable("prompt of several turns")
    return _only(said, "prompt"), answer, said.pictures


def _only(said: Said, kind: str) -> str:
    if not said.user:
        raise Unusable(f"{kind} without a user turn")
    return said.user[0]


def _untagged(answer: str) -> str:
    try:
        return read_answer(answer)
    except Malformed as error:
        raise Unusable(f"answer that cannot be read: {error}") from error


def _in_pixels(corners: Any, frame: Any, images: list[bytes]) -> Any:
    """Return boxes in pixels of the first picture.

    Args:
        frame: What the boxes are in: `pixels`; a number that is the picture's width and height in
            their coordinates (1 for shares, 1000 for Qwen's); or both numbers.

    >>> _in_pixels([[1, 2, 3, 4]], "pixels", [])
    [[1, 2, 3, 4]]
    """
    if frame in (None, "", "pixels") or not corners or not images:
        return corners
    sides = frame if isinstance(frame, list) else [frame, frame]
    if len(sides) != 2 or not all(_is_positive(side) for side in sides):
        raise Unusable("box_frame is neither `pixels`, nor a number, nor width and height")
    if not all(isinstance(row, list) and len(row) == 4 for row in corners):
        raise Unusable("box without four numbers")
    width, height = picture_size(images[0])
    x, y = width / sides[0], height / sides[1]
    return [[a * x, b * y, c * x, d * y] for a, b, c, d in corners]


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9


def text_in(row: dict[str, Any], *names: str) -> str:
    """Return the first value that a row has under some names, as text.

    Raises:
        Unusable: It is something that has parts, or no Unicode.
    """
    value = _first(row, names, default="")
    if isinstance(value, list) and names == ANSWER_NAMES:
        if len(value) != 1:
            raise Unusable("answer is a list of several" if value else "empty answer")
        value = value[0]
    texts = (str, int, float, Decimal, date, time, timedelta)
    if not isinstance(value, texts) or isinstance(value, bool):
        raise Unusable(f"{names[0]} is neither text nor a number")
    text = str(value)
    text.encode()  # JSON may hold half of a surrogate pair, which Parquet cannot
    return text


def _first(row: dict[str, Any], names: tuple[str, ...], default: Any) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), default)


def _misfit(error: Exception) -> Unusable:
    """Name the field that does not fit, without its value, so that reasons group."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return Unusable(f"field {first['loc'][0]!r}: {first['msg']}")
    return Unusable("field of the wrong type")
