"""Data sets that Hugging Face's `save_to_disk` wrote, one or a dict of them by split.

Their files are read as the Arrow streams they are, and not by `datasets`, which follows every path
in their descriptions, decodes what a description calls a picture, a sound or a PDF, and fetches it
where it is an address. What is used of the descriptions are the names of files and of classes.
"""

import contextlib
import json
from collections.abc import Iterator
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.reading.annotation_files import some
from tasks.reading.arrow import rows_of, stream_of
from tasks.reading.checks import Record, Unusable, unusable
from tasks.reading.files import MB, link_out, mapped, open_data, read_json
from tasks.reading.judgements import layout_of
from tasks.reading.splits import Splits, our_name, split_in
from tasks.reading.tables import COLUMNS, PROMPT_NAMES, TURN_NAMES, Part, sample_from
from tasks.running.errors import UserError

INFO, STATE, DICT = "dataset_info.json", "state.json", "dataset_dict.json"
DESCRIPTION = 64 * MB  # a feature takes some 50 bytes
Classes = dict[str, list[str]]  # the names of the classes by column


def is_saved(folder: Path) -> bool:
    """Return whether `save_to_disk` wrote a folder; its `dataset_info.json` others write too."""
    return (folder / DICT).exists() or (folder / STATE).exists()


def saved_dataset(folder: Path, splits: Splits) -> Iterator[Record]:
    """Yield the records of a saved data set.

    Raises:
        UserError: A file is missing or damaged, leads out of the folder, or has no question.
    """
    for split, place in _parts(folder):
        part = Part(folder, splits, split_in(split) or our_name(split), split)
        number = 0
        for file in _data_files(folder, place):
            for row, odd in _rows(folder, place, file):
                name = f"{split or 'row'}:{number}"
                yield unusable(name, str(odd)) if odd else (
                    name, partial(sample_from, row, name, part)
                )  # fmt: skip
                number += 1


def _parts(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each split and its folder."""
    if (folder / STATE).exists() or not (folder / DICT).exists():
        yield "", folder
        return
    described = read_json(folder, folder / DICT, DESCRIPTION)
    splits = described.get("splits") if isinstance(described, dict) else None
    for name in _plain_names(splits, folder / DICT, "splits"):
        if (folder / name).is_symlink():
            raise link_out(folder, folder / name)
        yield name, folder / name


def _data_files(folder: Path, part: Path) -> Iterator[Path]:
    if not (part / STATE).exists():
        raise UserError(
            f"{part} has no {STATE}",
            f"{INFO} or {DICT} says that `save_to_disk` of Hugging Face datasets wrote it, which "
            f"writes {STATE} too, or LLaMA-Factory, whose .json and .jsonl files must be beside it",
            "save the data set again, copy the files that it describes into the folder, or write "
            "it as JSONL beside its pictures",
        )
    state = read_json(folder, part / STATE, DESCRIPTION)
    listed = state.get("_data_files") if isinstance(state, dict) else None
    if isinstance(listed, list):
        listed = [f.get("filename") if isinstance(f, dict) else None for f in listed]
    yield from (part / name for name in _plain_names(listed, part / STATE, "_data_files"))


def _plain_names(names: Any, file: Path, key: str) -> list[str]:
    """Return a list of names of files in one folder, each once.

    Raises:
        UserError: It is something else.
    """
    plain = isinstance(names, list) and all(
        isinstance(name, str)
        and name not in ("", ".", "..")
        and not set(name) & {"/", "\\", "\0"}
        and ":" not in name
        for name in names
    )
    if not plain or len(set(names)) < len(names):
        raise UserError(
            f"{file} cannot be used",
            f"its {key} must be names of what lies beside it, each once: no paths, no addresses",
            "save the data set again with `save_to_disk`, and do not use what you do not trust",
        )
    return names


def _rows(folder: Path, part: Path, file: Path) -> Iterator[tuple[dict[str, Any], Unusable | None]]:
    """Yield the rows of one file with classes by name, and why a row cannot be used."""
    with open_data(folder, file) as opened:
        with _undamaged(file):
            buffer = pa.py_buffer(mapped(opened))
            stream = stream_of(buffer)
        _check_columns(folder, stream.schema.names)
        classes = _classes(folder, part, stream.schema)
        for batch in _batches(stream, buffer.size, file):
            for row, odd in rows_of(batch, COLUMNS):
                for column, names in classes.items():
                    label = row[column]
                    row[column] = None
                    if isinstance(label, int) and 0 <= label < len(names):
                        row[column] = names[label]
                    elif label not in (None, -1):  # which stand for no label
                        odd = odd or Unusable(f"{column} is the number of no class")
                yield row, odd


def _batches(stream: Iterator[pa.RecordBatch], size: int, file: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a stream of `size` bytes, each of them checked."""
    rows = 0
    while True:
        with _undamaged(file):
            batch = next(stream, None)
            if batch is None:
                return
            rows += batch.num_rows
            if rows > size:  # columns of nothing, or of one value for all
                raise ValueError("more rows than bytes")
            batch = batch.select(_first_of(batch.schema.names))
            batch.validate(full=True)
        yield batch


@contextlib.contextmanager
def _undamaged(file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # damage makes readers raise anything: OSError, KeyError, ...
        raise UserError(
            f"{file} cannot be read",
            f"it is damaged or no Arrow stream ({str(error).rstrip('.')[:200]})",
            "save the data set again with `save_to_disk`, or download it again",
        ) from error


def _first_of(names: list[str]) -> list[int]:
    return [names.index(name) for name in COLUMNS if name in names]


def _check_columns(folder: Path, names: list[str]) -> None:
    if any(name in names for name in (*PROMPT_NAMES, *TURN_NAMES)) or layout_of(names):
        return
    near = get_close_matches("prompt", [name[:80] for name in names[:1000]], n=1, cutoff=0.4)
    raise UserError(
        f"{folder} has no column with the question",
        f"one of {', '.join(PROMPT_NAMES)} is needed; found {some(names)}",
        f"rename {near[0]!r}" if near else "add it",
    )


def _classes(folder: Path, part: Path, schema: pa.Schema) -> Classes:
    """Return the names of the classes of the columns that hold numbers for them.

    Raises:
        UserError: The description is none.
    """
    described = (
        read_json(folder, part / INFO, DESCRIPTION) if (part / INFO).exists() else _inside(schema)
    )
    features = described.get("features") if isinstance(described, dict) else None
    if features is None:
        return {}
    classes: Classes = {}
    for column in (schema.names[i] for i in _first_of(schema.names)):
        feature = features.get(column) if isinstance(features, dict) else features
        if isinstance(features, dict) and not _is_class(feature):
            continue
        names = feature.get("names") if isinstance(feature, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(
                f"{part / INFO} does not describe {column!r}",
                "its features name the kind of each column, and the classes that numbers stand for",
                "save the data set again with `save_to_disk`",
            )
        classes[column] = names
    return classes


def _is_class(feature: Any) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "ClassLabel"


def _inside(schema: pa.Schema) -> Any:
    """Return the description that is written into the Arrow file itself."""
    try:
        return json.loads((schema.metadata or {})[b"huggingface"])["info"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
