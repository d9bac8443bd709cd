"""LLaMA-Factory's data folders: a `dataset_info.json` that describes files of rows beside it.

    {"mine": {"file_name": "mine.json", "formatting": "sharegpt",
              "columns": {"messages": "messages", "images": "images"}}}

Read are files in the folder, in its formattings (`alpaca` is the default), where a row is one
question and one answer. Set aside are preference pairs, tools, videos and sounds; addresses of
other data sets are not followed.
"""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tasks.reading.checks import Record, Unusable, unusable
from tasks.reading.files import ANNOTATIONS, LINE, MB, lines_in, open_data, read_json
from tasks.reading.splits import Splits, split_in
from tasks.reading.tables import Part, sample_from
from tasks.records.rows import Sample
from tasks.running.errors import UserError

INFO = "dataset_info.json"
DESCRIPTION = 64 * MB
ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
# What we could only leave out, by the name of its column.
OTHERS = ("system", "tools", "history", "videos", "audios", "chosen", "rejected", "kto_tag")

Described = dict[str, tuple[Path, dict[str, Any]]]


def described_files(folder: Path) -> Described:
    """Return the described files that are in a folder, with their descriptions, by name.

    Raises:
        UserError: The description cannot be read, or names a file elsewhere.
    """
    if not (folder / INFO).exists():
        return {}
    content = read_json(folder, folder / INFO, DESCRIPTION)
    found: Described = {}
    for name, entry in content.items() if isinstance(content, dict) else ():
        file = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(file, str):
            continue
        if "\0" in file or os.path.isabs(file) or ".." in Path(file).parts:
            raise UserError(
                f"{folder / INFO} cannot be used",
                f"the file of {name[:40]!r} must lie in the folder",
                "copy the file into the folder, and name it there",
            )
        if os.path.lexists(folder / file) and Path(file).suffix in (".json", ".jsonl"):
            found[name] = folder / file, entry
    return found


def described_records(folder: Path, described: Described, splits: Splits) -> Iterator[Record]:
    """Yield the records of described files; the name of each says its split."""
    for name, (file, entry) in described.items():
        part = Part(folder, splits, split_in(name) or split_in(file.stem),
                    name if len(described) > 1 else "")  # fmt: skip
        for number, row in enumerate(_rows(folder, file), start=1):
            id = f"{name}:{number}"
            if isinstance(row, Unusable):
                yield unusable(id, str(row))
            else:
                yield id, partial(_sample, row, entry, id, part)


def _rows(folder: Path, file: Path) -> Iterator[Any]:
    if file.suffix == ".json":
        rows = read_json(folder, file, ANNOTATIONS)
        if not isinstance(rows, list):
            raise UserError(
                f"{file} is no list of rows",
                f"{folder / INFO} says that it is",
                "write it again, or take it out of the description",
            )
        yield from rows
        return
    with open_data(folder, file) as opened:
        for line in lines_in(opened):
            if line is None:
                yield Unusable(f"line is longer than {LINE // MB} MB")
            elif line.strip():
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    yield Unusable("line is not JSON")


def _sample(row: Any, entry: dict[str, Any], id: str, part: Part) -> Sample:
    if not isinstance(row, dict):
        raise Unusable("row is not a JSON object")
    columns = entry.get("columns") or {}
    if not isinstance(columns, dict) or entry.get("ranking"):
        raise Unusable("preference pair" if entry.get("ranking") else "columns are no JSON object")

    def at(name: str, otherwise: str = "") -> Any:
        column = columns.get(name, otherwise or name)
        return row.get(column) if isinstance(column, str) else None

    if others := [name for name in OTHERS if at(name)]:
        raise Unusable(f"record with {others[0]}, which would not be used")
    read: dict[str, Any] = {"id": row.get("id"), "images": at("images")}
    form = entry.get("formatting", "alpaca")
    if form in ("sharegpt", "openai"):
        column = "conversations" if form == "sharegpt" else "messages"
        read["messages"] = _turns(at("messages", column), entry.get("tags"))
        return sample_from(read, id, part)
    if form != "alpaca":
        raise Unusable("formatting is none of alpaca, sharegpt and openai")
    prompt, query, answer = (at(name, column) for name, column in ALPACA.items())
    if query and not (isinstance(prompt, str) and isinstance(query, str)):
        raise Unusable("prompt is neither text nor a number")
    read |= {"prompt": f"{prompt}\n{query}" if query else prompt, "answer": answer}
    return sample_from(read, id, part)


def _turns(turns: Any, tags: Any) -> list[dict[str, Any]]:
    """Return turns under the names that others use; the description may name them otherwise.

    Without tags, roles and contents under OpenAI's names are understood as well.
    """
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise Unusable("messages is no list of turns")
    if not tags:
        return turns
    if not isinstance(tags, dict) or not all(isinstance(tag, str) for tag in tags.values()):
        raise Unusable("tags are no JSON object of texts")
    tags = TAGS | tags
    roles = {tags["user_tag"]: "user", tags["assistant_tag"]: "assistant"}
    read = []
    for turn in turns:
        role = turn.get(tags["role_tag"])
        known = roles.get(role) if isinstance(role, str) else None
        read.append({"role": known or role, "content": turn.get(tags["content_tag"])})
    return read
