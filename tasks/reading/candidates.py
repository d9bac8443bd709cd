"""Candidates from a folder: what a generator or another policy made, to be ranked by a judge.

`candidates.jsonl` beside the pictures, a line per prompt; answers to a question about pictures:

    {"id": "1", "prompt": "What is it?", "images": ["a.png"], "candidates": ["A ring.", "A star."]}

or pictures, or lists of frames, for a caption:

    {"id": "2", "task": "image_generation", "prompt": "A ring", "candidates": ["b.png", "c.png"]}
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.judging.candidates import Candidates
from tasks.reading.checks import Unusable, picture_size
from tasks.reading.files import LINE, MB, lines_in, open_data
from tasks.reading.pictures import read_picture
from tasks.records.judgements import TASKS, Task

FILE = "candidates.jsonl"
MOST = 64  # of a prompt


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    prompt: str
    candidates: list[str | list[str]]
    images: list[str] = []
    task: Task = TASKS[0]


def has_candidates(folder: Path) -> bool:
    """Return whether a folder holds candidates, and not questions that a policy is to answer."""
    return (folder / FILE).is_file()


def read_candidates(folder: Path, most: int = 0) -> tuple[list[Candidates], list[dict[str, str]]]:
    """Read the candidates of a folder.

    Args:
        most: Read at most so many prompts; 0 for all.

    Returns:
        The candidates, and the lines that are set aside, each with its reason.
    """
    found: list[Candidates] = []
    aside: list[dict[str, str]] = []
    known: set[str] = set()
    with open_data(folder, folder / FILE) as opened:
        for number, line in enumerate(lines_in(opened), start=1):
            if most and len(found) == most:
                break
            if line is not None and not line.strip():
                continue
            try:
                group = _read(folder, line, known)
            except Unusable as reason:
                aside.append({"id": f"line {number}", "reason": str(reason), "source": str(folder)})
                continue
            known.add(group.id)
            found.append(group)
    return found, aside


def _read(folder: Path, line: bytes | None, known: set[str]) -> Candidates:
    if line is None:
        raise Unusable(f"line is longer than {LINE // MB} MB")
    row = _parsed(line)
    if row.id in known:
        raise Unusable("duplicate id")
    if not row.prompt.strip():
        raise Unusable("empty prompt")
    if not 2 <= len(row.candidates) <= MOST:
        raise Unusable(f"fewer than 2 or more than {MOST} candidates")
    media = tuple(_picture(folder, name) for name in row.images)
    if row.task.endswith("understanding"):
        if not all(isinstance(item, str) for item in row.candidates):
            raise Unusable("candidates that are no texts")
        return Candidates(row.id, row.prompt, tuple(map(str, row.candidates)), media, row.task)
    if media:
        raise Unusable("images beside candidates that are pictures")
    clips = [[item] if isinstance(item, str) else item for item in row.candidates]
    if len({len(clip) for clip in clips}) != 1 or not clips[0]:
        raise Unusable("candidates with unequal numbers of frames")
    items = tuple(tuple(_picture(folder, name) for name in clip) for clip in clips)
    return Candidates(row.id, row.prompt, items, (), row.task)


def _parsed(line: bytes) -> _Line:
    try:
        held: Any = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise Unusable("line is not JSON") from error
    try:
        return _Line.model_validate(held)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][:1])) or "line"
        raise Unusable(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from error


def _picture(folder: Path, name: str) -> bytes:
    data = read_picture(folder, name)
    picture_size(data)
    return data
