"""SROIE: receipts with the text of every line and four fields, one question for each field.

    img/X1.jpg   box/X1.csv: 72,25,326,25,326,64,72,64,TAN CHAY YEE   key/X1.json: {"total": "9.00"}

is the question "What is the total of this receipt?" of metric `number`, whose answer is "9.00".
What stands where travels in `details.texts`, and only what is measured sees it. The folders may lie
below `train/` and `test/`, and `key` may be called `entities`.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.reading.checks import Record, Unusable, unusable
from tasks.reading.files import LINE, read_record_file
from tasks.reading.pictures import is_picture, read_picture
from tasks.reading.splits import NAMES, Splits
from tasks.records.rows import Sample

KEYS = ("key", "entities")
FIELDS = {"company": "anls", "date": "number", "address": "anls", "total": "number"}
CORNERS = 8  # numbers of a line in box/, before its text


def receipt_folders(folder: Path) -> list[Path]:
    """Return the folders that hold receipts: this one, or those in it that are named by split."""
    parts = [folder, *(path for path in sorted(folder.iterdir()) if path.name.lower() in NAMES)]
    return [part for part in parts if (part / "img").is_dir() and _keys(part)]


def receipt_records(folder: Path, parts: list[Path], splits: Splits) -> Iterator[Record]:
    """Yield the questions about every receipt."""
    for part in parts:
        said = NAMES.get(part.name.lower(), "") if part != folder else ""
        keys = _keys(part)
        for file in sorted(path for path in (part / "img").iterdir() if is_picture(path)):
            name = file.relative_to(folder).with_suffix("").as_posix().replace("img/", "")
            place = (folder, part.relative_to(folder), file, keys)
            try:
                fields = _fields(*place)
            except Unusable as reason:
                yield unusable(name, str(reason))
                continue
            for field in FIELDS:
                if fields.get(field, "").strip():
                    id = f"{name}:{field}"
                    yield id, partial(_sample, place, id, field, fields[field], splits, said)


def _keys(part: Path) -> str:
    return next((name for name in KEYS if (part / name).is_dir()), "")


def _fields(folder: Path, part: Path, file: Path, keys: str) -> dict[str, str]:
    data = None
    for suffix in (".json", ".txt"):
        path = part / keys / f"{file.stem}{suffix}"
        if (folder / path).exists():
            data = read_record_file(folder, path.as_posix(), "annotation", LINE)
            break
    if data is None:
        raise Unusable("receipt without its fields")
    try:
        fields = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unusable("annotation is not JSON") from error
    if not isinstance(fields, dict) or not all(isinstance(v, str) for v in fields.values()):
        raise Unusable("annotation is not a JSON object of texts")
    return fields


def _sample(
    place: tuple[Path, Path, Path, str], id: str, field: str, answer: str, splits: Splits, said: str
) -> Sample:
    folder, part, file, _ = place
    return Sample(
        id=id, task=f"sroie_{field}", split=splits.told(said),
        prompt=f"What is the {field} of this receipt?", metric=FIELDS[field],
        answer=answer.strip(),
        images=[read_picture(folder, file.relative_to(folder).as_posix())],
        details={"texts": texts} if (texts := _texts(folder, part, file)) else {},
    )  # fmt: skip


def _texts(folder: Path, part: Path, file: Path) -> list[list]:
    """Return the texts of a receipt with their corners; none where there is no such file."""
    for suffix in (".csv", ".txt"):
        path = part / "box" / f"{file.stem}{suffix}"
        if (folder / path).exists():
            data = read_record_file(folder, path.as_posix(), "annotation", LINE)
            lines = data.decode("utf-8-sig", "replace").splitlines()
            return [found for line in lines if line.strip() and (found := _line(line))]
    return []


def _line(line: str) -> list | None:
    *numbers, text = line.split(",", CORNERS)
    try:
        x, y = [float(v) for v in numbers[::2]], [float(v) for v in numbers[1::2]]
    except ValueError as error:
        raise Unusable("line of texts without its corners") from error
    if len(numbers) != CORNERS:
        raise Unusable("line of texts without its corners")
    return [text.strip(), [min(x), min(y), max(x), max(y)]]
