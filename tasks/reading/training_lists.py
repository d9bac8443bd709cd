"""LLaVA's lists of training sets, in YAML: files of conversations, and how much of each is used.

    datasets:
      - json_path: ./dataset/HPD/train_data.json
        image_folder: ./dataset/HPD
        sampling_strategy: random:10%

takes a tenth of the conversations of one file, always the same ones (`sampled`). The conversations
are judgements (`tasks/reading/llava_conversations.py`). What a list leaves out is no record.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tasks.reading.checks import Record, unusable
from tasks.reading.files import ANNOTATIONS, MB, open_data, read_json
from tasks.reading.llava_conversations import conversation_sample
from tasks.reading.splits import Splits, lot, split_in
from tasks.reading.tables import Part
from tasks.running.errors import UserError

LIST = 1 * MB  # of YAML; the released one has a dozen entries
SAMPLING = re.compile(r"(first|end|random):(\d{1,12})(%?)")


@dataclass(frozen=True)
class Listed:
    """A file of conversations that a list names.

    Attributes:
        pictures: The folder that its pictures are in, inside the data folder.
        sampling: `all`, `first:N`, `end:N` or `random:N`; N may be a percentage.
    """

    file: Path
    pictures: str
    sampling: str


def training_lists(folder: Path) -> list[Listed]:
    """Return the files that the YAML lists of a folder name.

    Paths begin at the folder, or with its name, as the released list is written.

    Raises:
        UserError: A list names a file elsewhere, or a sampling that is none.
    """
    files = sorted(chain(folder.glob("*.yaml"), folder.glob("*.yml")))
    return [_listed(folder, file, entry) for file in files for entry in _entries(folder, file)]


def _entries(folder: Path, file: Path) -> list[dict[str, Any]]:
    """Return the entries of a list; none where a file is another."""
    with open_data(folder, file, LIST) as opened:
        try:
            read = yaml.safe_load(opened)
        except (yaml.YAMLError, ValueError, RecursionError):
            return []
    entries = read.get("datasets") if isinstance(read, dict) else None
    if not isinstance(entries, list):
        return []
    listed = (isinstance(entry, dict) and isinstance(entry.get("json_path"), str)
              for entry in entries)  # fmt: skip
    return entries if all(listed) else []


def _listed(folder: Path, file: Path, entry: dict[str, Any]) -> Listed:
    sampling, pictures = entry.get("sampling_strategy", "all"), entry.get("image_folder")
    if not isinstance(sampling, str) or (sampling != "all" and not SAMPLING.fullmatch(sampling)):
        raise UserError(
            f"{file} names the sampling_strategy {str(sampling)[:40]!r}",
            "it says how much of a file is used: all, first:N, end:N or random:N, where N is a "
            "number or a percentage",
            "write one of them",
        )
    path = _inside(folder, file, entry["json_path"])
    place = str(path.parent) if pictures is None else str(_inside(folder, file, pictures))
    return Listed(folder / path, place, sampling)


def _inside(folder: Path, file: Path, path: Any) -> PurePosixPath:
    """Return a path that begins at the data folder; the released ones begin with its name."""
    place = PurePosixPath(path) if isinstance(path, str) else PurePosixPath("..")
    if "\0" in str(place) or place.is_absolute() or ".." in place.parts:
        raise UserError(
            f"{file} cannot be used",
            f"{str(path)[:80]!r} must lie in the folder of the list",
            "copy the files into the folder, and name them there",
        )
    if place.parts[:1] == (folder.name,) and not os.path.lexists(folder / place):
        place = PurePosixPath(*place.parts[1:])
    return place


def listed_records(folder: Path, listed: list[Listed], splits: Splits) -> Iterator[Record]:
    """Yield the judgement of every conversation that is used.

    Raises:
        UserError: A file is missing, or no list.
    """
    for one in listed:
        name = str(one.file.relative_to(folder).with_suffix(""))
        part = Part(folder, splits, split_in(one.file.stem), name)
        rows = read_json(folder, one.file, ANNOTATIONS)
        if not isinstance(rows, list):
            raise UserError(
                f"{one.file} is no list of conversations",
                "the YAML beside it says that it is",
                "write it again, or take it out of the YAML",
            )
        for number, row in sampled(rows, one.sampling):
            id = f"{name}:{number}"
            if isinstance(row, dict):
                yield id, partial(conversation_sample, row, id, part, one.pictures)
            else:
                yield unusable(id, "row is not a JSON object")


def sampled(rows: list[Any], sampling: str) -> list[tuple[int, Any]]:
    """Return the rows that are used with their numbers, in their order.

    Lots are drawn for what is in a row, so the same are taken wherever it stands.

    >>> sampled(["a", "b", "c", "d"], "end:2"), sampled(["a", "b", "c"], "first:50%")
    ([(3, 'c'), (4, 'd')], [(1, 'a'), (2, 'b')])
    """
    numbered = list(enumerate(rows, start=1))
    if not (how := SAMPLING.fullmatch(sampling)):
        return numbered
    number = -(-int(how[2]) * len(rows) // 100) if how[3] else int(how[2])  # rounded up
    if how[1] == "first":
        return numbered[:number]
    if how[1] == "end":
        return numbered[max(0, len(rows) - number) :]
    return sorted(sorted(numbered, key=lambda row: lot("sampling", json.dumps(row[1])))[:number])
