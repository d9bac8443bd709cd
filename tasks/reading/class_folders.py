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
from tasks.reading.splits import NAMES, Splits, lot
from tasks.records.rows import Sample
from tasks.running.errors import UserError

# What holds pictures of all classes, or what belongs to them; "mask" alone may be a class.
PARTS = {
    "image", "images", "img", "imgs", "jpegimages", "picture", "pictures", "photos", "frames",
    "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations",
    "segmentationclass", "segmentationobject", "groundtruth", "ground_truth", "depth",
}  # fmt: skip


def class_folders(folder: Path) -> list[Path]:
    """Return the class folders of a data folder: none where there is nothing to tell apart.

    Raises:
        UserError: One of them is a link, or they are parts of a data set of another kind.
    """
    found = _visible(folder)
    splits = [part for part in found if part.name.lower() in NAMES and _visible(part)]
    classes = [below for part in splits for below in _visible(part)] if splits else found
    filled = {c.name for c in classes if any(is_picture(file) for file in c.iterdir())}
    if len(filled) < 2:
        return []
    if linked := [c for c in (*splits, *classes) if c.is_symlink()]:
        raise link_out(folder, linked[0])
    if parts := sorted(name for name in filled if name.lower() in PARTS):
        raise UserError(
            f"{folder} has pictures in {' and '.join(sorted(filled)[:5])}, which are no classes",
            f"{parts[0]!r} is what a part of a data set is called, as pictures beside their masks "
            "are; masks are not read",
            "write JSONL with a question about each picture, boxes as COCO, or a folder for each "
            "class, called by its name",
        )
    return classes


def class_records(folder: Path, classes: list[Path], splits: Splits) -> Iterator[Record]:
    """Yield the question which class it is for every picture, and the files that are none."""
    known = {c.relative_to(folder) for c in classes}
    said = {c: NAMES[c.parts[0].lower()] if len(c.parts) > 1 else "" for c in known}
    splits.parts = set(said.values())
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
        yield path, partial(_sample, folder, path, splits, said[file.parent], file.parent.name)
    set_aside += [unusable(c.as_posix(), "class folder without pictures") for c in sorted(empty)]
    yield from set_aside


def _sample(folder: Path, path: str, splits: Splits, said: str, name: str) -> Sample:
    label, data = name.replace("_", " "), read_picture(folder, path)
    return Sample(
        id=path,
        task="classification",
        split=splits.of(said, [data]),
        prompt=prompt("reinforce/classify"),
        metric="final",
        images=[data],
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
