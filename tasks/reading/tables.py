"""Tables with a row per sample: JSONL beside pictures, saved Hugging Face datasets, our shards."""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Image, Sequence, load_from_disk
from pydantic import ValidationError

from tasks.errors import UserError
from tasks.reading.checks import Record, Unusable
from tasks.reading.pictures import read_picture
from tasks.records import Sample, read_rows, sample_of

# Names that other projects use for our columns.
PROMPT_NAMES = ("prompt", "problem", "question", "query", "instruction")
ANSWER_NAMES = ("answer", "solution", "response", "label_text", "caption")
IMAGE_NAMES = ("images", "image", "image_path", "image_paths", "file_name")
# What a record of the wrong shape raises; RecursionError comes from deeply nested JSON.
MALFORMED = (KeyError, TypeError, ValueError, RecursionError)


def own_shards(folder: Path) -> Iterator[Record]:
    """Yield the records of Parquet shards that a stage wrote."""
    for number, row in enumerate(read_rows(folder)):
        name = _text(row, "id") or f"row:{number}"
        yield name, partial(_from_shard, row | {"id": name})


def _from_shard(row: dict[str, Any]) -> Sample:
    try:
        return sample_of(row)
    except MALFORMED as error:
        raise _misfit(error) from error


def json_lines(folder: Path, files: list[Path]) -> Iterator[Record]:
    """Yield the records of JSONL files, whose pictures are paths inside the folder."""
    for file in files:
        with file.open("rb") as lines:  # as bytes: text would also end a line at U+2028 and U+0085
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    name = f"{file.stem}:{number}"
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
    return _sample(row, name, folder)


def saved_dataset(folder: Path) -> Iterator[Record]:
    """Yield the records of what `save_to_disk` wrote, a dataset or a dict of them by split."""
    loaded = load_from_disk(str(folder))
    parts = loaded if isinstance(loaded, dict) else {"": loaded}
    for split, part in parts.items():
        if not any(name in part.column_names for name in PROMPT_NAMES):
            near = get_close_matches("prompt", part.column_names, n=1, cutoff=0.4)
            hint = f"rename {near[0]!r}" if near else "add it"
            raise UserError(
                f"{folder} has no column with the question",
                f"one of {', '.join(PROMPT_NAMES)} is needed; found {', '.join(part.column_names)}",
                hint,
            )
        classes = {}
        for column, feature in part.features.items():
            if isinstance(feature, Image):
                part = part.cast_column(column, Image(decode=False))
            elif isinstance(getattr(feature, "feature", None), Image):
                part = part.cast_column(column, Sequence(Image(decode=False)))
            elif isinstance(feature, ClassLabel):
                classes[column] = feature
        renamed = {"validation": "dev", "valid": "dev", "": "train"}.get(split, split)
        for number, row in enumerate(part):
            for column, feature in classes.items():
                known = row[column] is not None and row[column] >= 0  # -1 stands for no label
                row[column] = feature.int2str(row[column]) if known else None
            row["split"] = _text(row, "split") or renamed
            name = f"{split or 'row'}:{number}"
            yield name, partial(_sample, row, name, folder)


def _sample(row: dict[str, Any], name: str, folder: Path) -> Sample:
    pictures = _first(row, IMAGE_NAMES, default=[])
    pictures = pictures if isinstance(pictures, list) else [pictures]
    images = [_picture(folder, picture) for picture in pictures]
    details = row.get("details") or {}
    corners = row.get("boxes") or row.get("corners") or []
    try:
        return Sample(
            id=_text(row, "id") or name,
            task=_text(row, "task") or "question",
            split=_text(row, "split") or "train",
            prompt=_text(row, *PROMPT_NAMES).replace("<image>", "").strip(),
            metric=row.get("metric") or ("detections" if corners else "exact"),
            answer=_text(row, *ANSWER_NAMES),
            images=images,
            corners=corners,
            label=_text(row, "label"),
            final=_text(row, "final"),
            details=json.loads(details) if isinstance(details, str) else details,
        )
    except MALFORMED as error:
        raise _misfit(error) from error


def _picture(folder: Path, picture: Any) -> bytes:
    """Return the bytes of a picture, given as a path or as `datasets` stores it undecoded."""
    if isinstance(picture, dict):
        if isinstance(picture.get("bytes"), bytes):
            return picture["bytes"]
        picture = picture.get("path")
    if not isinstance(picture, str):
        raise Unusable("picture is neither a path nor bytes")
    return read_picture(folder, picture)


def _text(row: dict[str, Any], *names: str) -> str:
    text = str(_first(row, names, default=""))
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
