"""Tables with a row per sample: JSONL beside pictures, and our own shards."""

import json
import os
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.errors import UserError
from tasks.reading.arrow import rows_of
from tasks.reading.checks import Record, Unusable, gathered, unusable
from tasks.reading.files import LINE, MB, lines_in, open_data
from tasks.reading.pictures import read_picture
from tasks.records import Sample, read_batches, sample_of

# Names that other projects use for our columns.
PROMPT_NAMES = ("prompt", "problem", "question", "query", "instruction")
ANSWER_NAMES = ("answer", "solution", "response", "label_text", "caption")
IMAGE_NAMES = ("images", "image", "image_path", "image_paths", "file_name")
# What of a row is looked at.
COLUMNS = (
    *PROMPT_NAMES, *ANSWER_NAMES, *IMAGE_NAMES,
    "id", "task", "split", "metric", "boxes", "corners", "label", "final", "details",
)  # fmt: skip
FIELDS = tuple(Sample.model_fields)
# What a record of the wrong shape raises; RecursionError comes from deeply nested JSON.
MALFORMED = (KeyError, TypeError, ValueError, RecursionError)


def own_shards(folder: Path) -> Iterator[Record]:
    """Yield the records of Parquet shards that a stage wrote.

    Raises:
        UserError: A shard is damaged or a link, or its rows stand for nothing that is in it.
    """
    number = 0
    for part in sorted(folder.glob("part-*.parquet")):
        with open_data(folder, part) as file:
            left = os.fstat(file.fileno()).st_size
            for batch in read_batches(file, part, FIELDS):
                left -= batch.num_rows
                if left < 0:  # one value for all
                    raise UserError(
                        f"{part} cannot be used",
                        "it has more rows than bytes",
                        "restore the file, or write it again",
                    )
                for row, odd in rows_of(batch, FIELDS):
                    id = row.get("id") or f"row:{number}"
                    name = id if isinstance(id, str) else f"row:{number}"
                    yield unusable(name, str(odd)) if odd else (
                        name, partial(_from_shard, row | {"id": id})
                    )  # fmt: skip
                    number += 1


def _from_shard(row: dict[str, Any]) -> Sample:
    try:
        return sample_of(row)
    except MALFORMED as error:
        raise _misfit(error) from error


def json_lines(folder: Path, files: list[Path]) -> Iterator[Record]:
    """Yield the records of JSONL files, whose pictures are paths inside the folder."""
    for file in files:
        with open_data(folder, file) as opened:  # as bytes: text also ends a line at U+2028
            for number, line in enumerate(lines_in(opened), start=1):
                name = f"{file.stem}:{number}"
                if line is None:
                    yield unusable(name, f"line is longer than {LINE // MB} MB")
                elif line.strip():
                    yield name, partial(_from_json, line, name, folder)


def _from_json(line: bytes, name: str, folder: Path) -> Sample:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Unusable("line is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Unusable("line is not JSON") from error
    if not isinstance(row, dict):
        raise Unusable("line is not a JSON object")
    return sample_from(row, name, folder)


def sample_from(row: dict[str, Any], name: str, folder: Path) -> Sample:
    """Return the sample that a row of a user's table stands for.

    Args:
        name: The sample's id where the row has none.

    Raises:
        Unusable: It cannot be understood.
    """
    pictures = _first(row, IMAGE_NAMES, default=[])
    pictures = pictures if isinstance(pictures, list) else [pictures]
    images = gathered(_picture(folder, picture) for picture in pictures)
    details = row.get("details") or {}
    corners = row.get("boxes") or row.get("corners") or []
    try:
        return Sample(
            id=text_in(row, "id") or name,
            task=text_in(row, "task") or "question",
            split=text_in(row, "split") or "train",
            prompt=text_in(row, *PROMPT_NAMES).replace("<image>", "").strip(),
            metric=row.get("metric") or ("detections" if corners else "exact"),
            answer=text_in(row, *ANSWER_NAMES),
            images=images,
            corners=corners,
            label=text_in(row, "label"),
            final=text_in(row, "final"),
            details=json.loads(details) if isinstance(details, str) else details,
        )
    except MALFORMED as error:
        raise _misfit(error) from error


def _picture(folder: Path, picture: Any) -> bytes:
    """Return the bytes of a picture, given as a path or as `datasets` stores it undecoded."""
    if isinstance(picture, dict):
        picture = picture.get("path") if picture.get("bytes") is None else picture["bytes"]
    if isinstance(picture, bytes):
        return picture
    if not isinstance(picture, str):
        raise Unusable("picture is neither a path nor bytes")
    return read_picture(folder, picture)


def text_in(row: dict[str, Any], *names: str) -> str:
    """Return the first value that a row has under some names, as text.

    Raises:
        Unusable: It is something that has parts, or no Unicode.
    """
    value = _first(row, names, default="")
    if not isinstance(value, str | int | float | Decimal | date | time | timedelta):
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
