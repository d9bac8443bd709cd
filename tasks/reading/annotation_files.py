"""Which of a folder's JSON files are annotations: those of COCO and LVIS, or refs of RefCOCO."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.reading.annotations import load
from tasks.reading.checks import Record, unusable
from tasks.reading.coco import coco_records
from tasks.reading.grounding import is_references, reference_records
from tasks.reading.splits import NAMES, Splits
from tasks.running.errors import UserError

LISTS = ("images", "annotations", "categories")
# What COCO puts beside its boxes describes the same pictures in another way.
OTHER_COCO = ("captions_", "image_info_", "panoptic_", "person_keypoints_", "stuff_")


def annotated_records(folder: Path, splits: Splits) -> tuple[str, Iterator[Record]] | None:
    """Return what the JSON files of a folder are, and their records, if they have any.

    They are looked for in `folder`, in its `annotations/`, and, where Roboflow puts them, beside
    the pictures in folders that are named by split.

    Raises:
        UserError: A file is no JSON, lacks a list that annotations need, or is a pickle.
    """
    files = [*sorted(folder.glob("*.json")), *sorted(folder.glob("annotations/*.json"))]
    parts = (part for part in sorted(folder.iterdir()) if part.name.lower() in NAMES)
    files += [file for part in parts for file in sorted(part.glob("*.coco.json"))]
    contents = {file: load(folder, file) for file in files if not file.name.startswith(OTHER_COCO)}
    refer = any(map(is_references, contents.values()))
    if pickles := [] if refer else sorted(folder.glob("refs*.p")):
        raise UserError(
            f"{pickles[0]} is a pickle",
            "opening a pickle can run code, so it is not opened, and the references are in it",
            "write its list as JSON beside it where you trust it: "
            "json.dump(pickle.load(open('refs.p', 'rb')), open('refs.json', 'w'))",
        )
    needed = LISTS[:2] if refer else LISTS
    used = {file: content for file, content in contents.items() if _is_used(file, content, needed)}
    if not used:
        return None
    records = (reference_records if refer else coco_records)(folder, used, splits)
    unused = [file for file in files if file not in used]
    return "RefCOCO" if refer else "COCO", _with_unused(records, unused)


def some(names: Iterable[str]) -> str:
    """Return the first few of many names, each cut short, for a message."""
    first = [name[:40] for name in islice(names, 11)]
    return ", ".join([*first[:10], "..."] if len(first) > 10 else first)


def _is_used(file: Path, content: Any, needed: tuple[str, ...]) -> bool:
    if not isinstance(content, dict):
        return is_references(content)
    if not any(key in content for key in (*LISTS, "refs")):
        return False
    if lacking := [key for key in needed if not isinstance(content.get(key), list)]:
        raise UserError(
            f"{file} lacks {' and '.join(map(repr, lacking))}",
            f"annotations are lists called {', '.join(needed)}; found {some(content)}",
            "complete the file, or take it out of the folder",
        )
    return True


def _with_unused(records: Iterator[Record], unused: list[Path]) -> Iterator[Record]:
    yield from records
    for file in unused:
        yield unusable(file.name, "JSON file that is not about boxes of all categories")
