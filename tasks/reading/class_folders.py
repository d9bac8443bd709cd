"""Class folders: a folder per class with its pictures, alone or below folders named by split.

The order is drawn by lot, so that a limited number of records is a fair sample of the classes.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.prompts import prompt
from tasks.reading.checks import Record, unusable
from tasks.reading.files import link_out
from tasks.reading.pictures import is_picture, read_picture
from tasks.reading.splits import NAMES, lot, split_for
from tasks.records import Sample


def class_folders(folder: Path) -> list[Path]:
    """Return the class folders of a data folder: none where there is nothing to tell apart.

    Raises:
        UserError: One of them is a link.
    """
    found = _visible(folder)
    splits = [part for part in found if part.name.lower() in NAMES and _visible(part)]
    classes = [below for part in splits for below in _visible(part)] if splits else found
    filled = {c.name for c in classes if any(is_picture(file) for file in c.iterdir())}
    if len(filled) < 2:
        return []
    if linked := [c for c in (*splits, *classes) if c.is_symlink()]:
        raise link_out(folder, linked[0])
    return classes


def class_records(folder: Path, classes: list[Path]) -> Iterator[Record]:
    """Yield the question which class it is for every picture, and the files that are none."""
    known = {c.relative_to(folder) for c in classes}
    said = {c: NAMES[c.parts[0].lower()] if len(c.parts) > 1 else "" for c in known}
    empty = set(known)
    set_aside: list[Record] = []
    pictures: list[Path] = []
    for file in _files(folder):
        if (folder / file).is_symlink() and (folder / file).is_dir():
            set_aside.append(unusable(file.as_posix(), "link to a folder, which is not followed"))
        elif not is_picture(file):
            set_aside.append(unusable(file.as_posix(), "file is no picture"))
        elif file.parent not in known:
            set_aside.append(unusable(file.as_posix(), "picture that is not in a class folder"))
        else:
            empty.discard(file.parent)
            pictures.append(file)
    for file in sorted(pictures, key=lambda file: lot("order", file.as_posix())):
        path = file.as_posix()
        split = split_for(said[file.parent], set(said.values()), path)
        yield path, partial(_sample, folder, path, split, file.parent.name)
    set_aside += [unusable(c.as_posix(), "class folder without pictures") for c in sorted(empty)]
    yield from set_aside


def _sample(folder: Path, path: str, split: str, name: str) -> Sample:
    label = name.replace("_", " ")
    return Sample(
        id=path,
        task="classification",
        split=split,
        prompt=prompt("classify"),
        metric="final",
        images=[read_picture(folder, path)],
        label=label,
        final=label,
    )


def _visible(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if path.is_dir())


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = (name for name in folders if os.path.islink(os.path.join(root, name)))
        yield from (Path(root, name).relative_to(folder) for name in (*names, *links))
