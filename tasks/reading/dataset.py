"""Opens a data set, checks every record, and sets aside what cannot be used, with the reason.

The layout is recognised by what is in the folder; every layout's reader yields a name and a way to
get the sample for each record, so that pictures are opened one record at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.errors import UserError
from tasks.progress import track
from tasks.reading.annotation_files import annotated_records
from tasks.reading.checks import Record, Unusable, check
from tasks.reading.class_folders import class_folders, class_records
from tasks.reading.grounding import reasoning_folders, reasoning_records
from tasks.reading.tables import json_lines, own_shards, saved_dataset
from tasks.records import (
    REJECTED,
    SAMPLES,
    Sample,
    sample_row,
    write_shards,
    write_summary,
    write_table,
)


def read_dataset(
    folder: Path,
    out: Path,
    set_aside: Path,
    max_rejected_share: float,
    limit: int = 0,
    wanted: Callable[[Sample], bool] = lambda _: True,
    section: str = "intake",
) -> dict[str, float]:
    """Read a data set into `out` as samples; unusable records go to `rejected.parquet`.

    Args:
        set_aside: Where the rejected records are written when too many of them fail the stage.
        limit: Read at most this many records; 0 for all.
        wanted: Tells whether a usable sample is kept; the others are counted and let go, so that a
            large data set needs no more memory than what is wanted of it.
        section: The section of the settings that the limits come from, for messages.

    Returns:
        Counts: records read, kept and set aside.

    Raises:
        UserError: The folder is missing or no data set, a shard is damaged, a column is missing,
            or more than `max_rejected_share` of the records cannot be used.
    """
    kept: list[Sample] = []
    rejected: list[dict[str, str]] = []
    seen: set[str] = set()
    usable = 0
    for name, source in track(_records(folder), "reading"):
        if limit and usable + len(rejected) >= limit:
            break
        try:
            sample = source()
            check(sample, seen)
            usable += 1
            if wanted(sample):
                kept.append(sample)
        except Unusable as reason:
            name = name.encode(errors="replace").decode()  # a file's name need not be Unicode
            rejected.append({"id": name, "reason": str(reason), "source": str(folder)})
    reasons = Counter(row["reason"] for row in rejected)
    total = usable + len(rejected)
    if not total:
        raise UserError(
            f"{folder} holds no records", "there is nothing to train on", "check the folder"
        )
    share = len(rejected) / total
    if share > max_rejected_share or not usable:
        write_shards(rejected, set_aside, REJECTED)
        raise UserError(
            f"{len(rejected)} of {total} records in {folder} cannot be used",
            "; ".join(f"{n}x {reason}" for reason, n in reasons.most_common()),
            f"look at {set_aside}, mend the data, or raise {section}.max_rejected_share "
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


def _records(folder: Path) -> Iterator[Record]:
    if not folder.is_dir():
        raise UserError(
            f"There is no data folder {folder}",
            "the chain starts from the data set named by the setting `data`",
            "run `make pull` for the embedded data, or set `data` to your folder",
        )
    lines = sorted(folder.glob("*.jsonl"))
    if (folder / "dataset_info.json").exists() or (folder / "dataset_dict.json").exists():
        return saved_dataset(folder)
    if any(folder.glob("part-*.parquet")):
        return own_shards(folder)
    if lines:
        return json_lines(folder, lines)
    if records := annotated_records(folder):
        return records
    if parts := reasoning_folders(folder):
        return reasoning_records(folder, parts)
    if classes := class_folders(folder):
        return class_records(folder, classes)
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
    raise UserError(
        f"{folder} is not a data set that Collimate can read",
        "it has neither part-*.parquet, nor a *.jsonl file, nor a saved Hugging Face dataset, nor "
        "a *.json file with images, annotations and categories, nor pictures with a JSON file "
        f"beside each in train/, nor two class folders with pictures (found: {found})",
        "see 'Your own data and model' in the README",
    )
