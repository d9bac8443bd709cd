"""Opens a data set, checks every record, and sets aside what cannot be used, with the reason.

Three layouts are recognised by what is in the folder: the project's own Parquet shards, a JSONL
file beside a folder of pictures, and a Hugging Face dataset saved to disk. All of them become
`Sample`s.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Image, Sequence, load_from_disk
from pydantic import ValidationError

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
    write_table,
)

SPLITS = ("train", "dev", "test")
# Names that other projects use for our columns.
PROMPT_NAMES = ("prompt", "problem", "question", "query", "instruction")
ANSWER_NAMES = ("answer", "solution", "response", "label_text", "caption")
IMAGE_NAMES = ("images", "image", "image_path", "image_paths", "file_name")
# Metrics that compare with `answer`. No true boxes is a truth too: there is nothing to find.
ANSWERED = ("exact", "caption", "pair", "point")
# How many responses a judgement is about, the answers it may have, and what any other answer is.
JUDGED = {
    "pair": (2, r"[AB]", "neither A nor B"),
    "point": (1, r"10(\.0+)?|[1-9](\.\d+)?", "no number from 1 to 10"),
}
# What a record of the wrong shape raises; RecursionError comes from deeply nested JSON.
MALFORMED = (KeyError, TypeError, ValueError, RecursionError)


class Unusable(Exception):
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
        UserError: The folder is missing or no data set, a shard is damaged, a column is missing,
            or more than `max_rejected_share` of the records cannot be used.
    """
    kept: list[Sample] = []
    rejected: list[dict[str, str]] = []
    seen: set[str] = set()
    for name, source in track(_records(folder), "reading"):
        if limit and len(kept) + len(rejected) >= limit:
            break
        try:
            sample = source()
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
        write_table(rejected, out / "rejected.parquet", REJECTED)
    by_task = Counter(f"{s.split}/{s.task}" for s in kept)
    write_summary(
        out,
        read=total,
        kept=len(kept),
        set_aside=dict(reasons),
        tasks=dict(sorted(by_task.items())),
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
    # pictures to describe need no reference while training: the judge compares answers
    described = sample.metric == "caption" and sample.split == "train"
    if sample.metric in ANSWERED and not sample.answer.strip() and not described:
        raise Unusable("empty answer")
    if sample.metric == "final" and not sample.final.strip():
        raise Unusable("empty final")
    if sample.metric in JUDGED:
        _check_judgement(sample)
    for i, data in enumerate(sample.images):
        try:
            image = open_image(data)
        except ValueError as error:
            raise Unusable(
                "picture too large" if "too large" in str(error) else "unreadable picture"
            ) from error
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


def _check_judgement(sample: Sample) -> None:
    metric, question = sample.metric, sample.details.get("question")
    responses = sample.details.get("responses")
    number, answers, other = JUDGED[metric]
    texts = [question, *responses] if isinstance(responses, list) else []
    if len(texts) != 1 + number or not all(isinstance(text, str) for text in texts):
        raise Unusable(f"metric {metric} needs details.question and {number} details.responses")
    if not re.fullmatch(answers, sample.answer):
        raise Unusable(f"{metric} answer is {other}")


def _records(folder: Path) -> Iterator[tuple[str, Callable[[], Sample]]]:
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


def _own_shards(folder: Path) -> Iterator[tuple[str, Callable[[], Sample]]]:
    for number, row in enumerate(read_rows(folder)):
        name = _text(row, "id") or f"row:{number}"
        yield name, lambda row=row, name=name: _from_shard(row | {"id": name})


def _from_shard(row: dict[str, Any]) -> Sample:
    try:
        return sample_of(row)
    except MALFORMED as error:
        raise _misfit(error) from error


def _json_lines(folder: Path, files: list[Path]) -> Iterator[tuple[str, Callable[[], Sample]]]:
    for file in files:
        with file.open("rb") as lines:  # as bytes: text would also end a line at U+2028 and U+0085
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    name = f"{file.stem}:{number}"
                    yield name, lambda line=line, name=name: _from_json(line, name, folder)


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


def _saved_dataset(folder: Path) -> Iterator[tuple[str, Callable[[], Sample]]]:
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
            yield name, lambda row=row, name=name: _sample(row, name, folder)


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
    try:
        full = (folder / picture).resolve()
        if not full.is_relative_to(folder.resolve()):
            raise Unusable("picture path leaves the data folder")
        if not full.is_file():
            raise Unusable("picture file is missing")
        return full.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:  # over-long, a loop of links, a NUL byte
        raise Unusable("picture file cannot be opened") from error


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
