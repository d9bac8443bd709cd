"""Opens a user's data set, checks every record, and sets aside what cannot be used, with the reason.

Three layouts are recognised by what is in the folder: the project's own Parquet shards, a JSONL file
beside a folder of pictures, and a Hugging Face dataset saved to disk. All of them become `Sample`s.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from datasets import Image, Sequence, load_from_disk

from tasks.boxes import boxes_from
from tasks.errors import UserError
from tasks.images import open_image
from tasks.progress import track
from tasks.records import (
    REJECTED,
    SAMPLES,
    Sample,
    read_rows,
    sample_of,
    sample_row,
    write_shards,
    write_summary,
)

SPLITS = ("train", "dev", "test")
# Names that other projects use for our columns.
PROMPT_NAMES = ("prompt", "problem", "question", "query", "instruction")
ANSWER_NAMES = ("answer", "solution", "response", "label_text", "caption")
IMAGE_NAMES = ("images", "image", "image_path", "image_paths", "file_name")


class Unusable(ValueError):
    """A record that is set aside; the message is the reason and groups with its like."""


def read_dataset(
    folder: Path, out: Path, set_aside: Path, max_rejected_share: float, limit: int = 0
) -> dict[str, float]:
    """Read a data set into `out` as samples; unusable records go to `rejected.parquet`.

    Args:
        set_aside: Where the rejected records are written when too many of them fail the stage.

    Returns:
        Counts: records read, kept and set aside.

    Raises:
        UserError: The folder is missing or no data set, a column is missing, or more than
            `max_rejected_share` of the records cannot be used.
    """
    kept: list[Sample] = []
    rejected: list[dict[str, str]] = []
    seen: set[str] = set()
    for name, source in track(_records(folder), "reading"):
        if limit and len(kept) + len(rejected) >= limit:
            break
        try:
            sample = source() if callable(source) else source
            check(sample, seen)
            kept.append(sample)
        except Unusable as reason:
            rejected.append({"id": name, "reason": str(reason), "source": str(folder)})
    reasons = Counter(row["reason"] for row in rejected)
    total = len(kept) + len(rejected)
    if not total:
        raise UserError(
            f"{folder} holds no records", "there is nothing to train on", "check the folder"
        )
    share = len(rejected) / total
    if share > max_rejected_share or not kept:
        write_shards(rejected, set_aside, REJECTED)
        raise UserError(
            f"{len(rejected)} of {total} records in {folder} cannot be used",
            "; ".join(f"{n}x {reason}" for reason, n in reasons.most_common()),
            f"look at {set_aside}, mend the data, or raise intake.max_rejected_share "
            f"(now {max_rejected_share:g})",
        )
    write_shards((sample_row(s) for s in kept), out, SAMPLES)
    if rejected:
        write_shards(rejected, out / "rejected", REJECTED)
        (out / "rejected" / "part-00000.parquet").rename(out / "rejected.parquet")
        (out / "rejected").rmdir()
    by_task = Counter(f"{s.split}/{s.task}" for s in kept)
    write_summary(
        out, read=total, kept=len(kept), set_aside=dict(reasons), tasks=dict(sorted(by_task.items()))
    )
    return {"read": total, "kept": len(kept), "set_aside": len(rejected)}


def check(sample: Sample, seen: set[str]) -> None:
    """Check one sample and note its id in `seen`; the first picture's size is filled in.

    Raises:
        Unusable: With the reason to set it aside for.
    """
    if sample.id in seen:
        raise Unusable("duplicate id")
    if not sample.prompt.strip():
        raise Unusable("empty prompt")
    if sample.split not in SPLITS:
        raise Unusable(f"unknown split {sample.split!r} (known: {', '.join(SPLITS)})")
    for i, data in enumerate(sample.images):
        try:
            image = open_image(data)
        except ValueError as error:
            raise Unusable("picture too large" if "too large" in str(error) else "unreadable picture") from error
        if i == 0:
            sample.size = image.size
    if sample.corners and not sample.images:
        raise Unusable("boxes without a picture")
    if any(len(row) != 4 for row in sample.corners):
        raise Unusable("box without four numbers")
    if any(not math.isfinite(v) for row in sample.corners for v in row):
        raise Unusable("box with NaN or infinity")
    for box in boxes_from(sample.corners, sample.size):
        if box.x0 >= box.x1 or box.y0 >= box.y1:
            raise Unusable("box without area")
        if not box.valid:
            raise Unusable("box outside the picture")
    seen.add(sample.id)


def _records(folder: Path) -> Iterator[tuple[str, Any]]:
    if not folder.is_dir():
        raise UserError(
            f"There is no data folder {folder}",
            "the chain starts from the data set named by the setting `data`",
            "run `make pull` for the embedded data, or set `data` to your folder",
        )
    lines = sorted(folder.glob("*.jsonl"))
    if (folder / "dataset_info.json").exists() or (folder / "dataset_dict.json").exists():
        return _saved_dataset(folder)
    if any(folder.glob("part-*.parquet")):
        return _own_shards(folder)
    if lines:
        return _json_lines(folder, lines)
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
    raise UserError(
        f"{folder} is not a data set that Collimate can read",
        "it has neither part-*.parquet, nor a *.jsonl file, nor a saved Hugging Face dataset "
        f"(found: {found})",
        "see 'Your own data' in the README",
    )


def _own_shards(folder: Path) -> Iterator[tuple[str, Any]]:
    for row in read_rows(folder):
        yield str(row.get("id")), lambda row=row: sample_of(row)


def _json_lines(folder: Path, files: list[Path]) -> Iterator[tuple[str, Any]]:
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            if line.strip():
                name = f"{file.stem}:{number}"
                yield name, lambda line=line, name=name: _from_json(line, name, folder)


def _from_json(line: str, name: str, folder: Path) -> Sample:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise Unusable("line is not JSON") from error
    if not isinstance(row, dict):
        raise Unusable("line is not a JSON object")
    pictures = _first(row, IMAGE_NAMES, default=[])
    paths = [pictures] if isinstance(pictures, str) else list(pictures)
    return _sample(row, name, [_load(folder, path) for path in paths])


def _load(folder: Path, path: str) -> bytes:
    full = (folder / path).resolve()
    if not full.is_relative_to(folder.resolve()):
        raise Unusable("picture path leaves the data folder")
    if not full.is_file():
        raise Unusable("picture file is missing")
    return full.read_bytes()


def _saved_dataset(folder: Path) -> Iterator[tuple[str, Any]]:
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
        for column, feature in part.features.items():
            if isinstance(feature, Image):
                part = part.cast_column(column, Image(decode=False))
            elif isinstance(getattr(feature, "feature", None), Image):
                part = part.cast_column(column, Sequence(Image(decode=False)))
        for number, row in enumerate(part):
            name = f"{split or 'row'}:{number}"
            yield name, lambda row=row, name=name, split=split: _from_saved(row, name, split, folder)


def _from_saved(row: dict, name: str, split: str, folder: Path) -> Sample:
    pictures = _first(row, IMAGE_NAMES, default=[])
    pictures = pictures if isinstance(pictures, list) else [pictures]
    data = [p["bytes"] or _load(folder, p["path"]) for p in pictures if p]
    renamed = {"validation": "dev", "valid": "dev", "": "train"}.get(split, split)
    return _sample({"split": renamed} | row, name, data)


def _sample(row: dict[str, Any], name: str, images: list[bytes]) -> Sample:
    details = row.get("details") or {}
    corners = row.get("boxes") or row.get("corners") or []
    try:
        return Sample(
            id=str(row.get("id", name)),
            task=str(row.get("task") or "question"),
            split=str(row.get("split") or "train"),
            prompt=str(_first(row, PROMPT_NAMES, default="") or "").replace("<image>", "").strip(),
            metric=row.get("metric") or ("detections" if corners else "exact"),
            answer=str(_first(row, ANSWER_NAMES, default="") or ""),
            images=images,
            corners=corners,
            label=str(row.get("label") or ""),
            final=str(row.get("final") or ""),
            details=json.loads(details) if isinstance(details, str) else details,
        )
    except (TypeError, ValueError) as error:
        raise Unusable("field of the wrong type") from error


def _first(row: dict[str, Any], names: tuple[str, ...], default: Any) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), default)
