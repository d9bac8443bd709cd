"""Opens a data set, checks every record, and sets aside what cannot be used, with the reason.

The layout is recognised by what is in the folder; every layout's reader yields a name and a way to
get the sample for each record, so that pictures are opened one record at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.progress import track
from tasks.reading.annotation_files import annotated_records
from tasks.reading.checks import TEXT, Record, Unusable, check
from tasks.reading.class_folders import class_folders, class_records
from tasks.reading.grounding import reasoning_folders, reasoning_records
from tasks.reading.saved import is_saved, saved_dataset
from tasks.reading.tables import json_lines, own_shards
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
    tally = _Tally(folder, set())

    def rows() -> Iterator[dict[str, Any]]:
        for name, source in track(_records(folder), "reading"):
            if limit and tally.read >= limit:
                break
            try:
                sample, row = _checked(source, tally.seen)
            except Unusable as reason:
                tally.set_aside(name, str(reason))
                continue
            tally.usable += 1
            if wanted(sample):
                tally.kept[f"{sample.split}/{sample.task}"] += 1
                yield row
        # before the last of them is written, so that nothing is
        tally.refuse_too_many(max_rejected_share, set_aside, section)

    write_shards(rows(), out, SAMPLES)
    if tally.rejected:
        write_table(tally.rejected, out / "rejected.parquet", REJECTED)
    kept = tally.kept.total()
    write_summary(
        out,
        read=tally.read,
        kept=kept,
        set_aside=dict(tally.reasons),
        tasks=dict(sorted(tally.kept.items())),
    )
    return {"read": tally.read, "kept": kept, "set_aside": len(tally.rejected)}


def _checked(source: Callable[[], Sample], seen: set[str]) -> tuple[Sample, dict[str, Any]]:
    try:
        sample = source()
        check(sample, seen)
    except MemoryError as error:
        raise Unusable("record does not fit into memory") from error
    try:
        return sample, sample_row(sample)
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        seen.discard(sample.id)
        raise Unusable("details that JSON cannot hold") from error


@dataclass
class _Tally:
    """What was found while reading."""

    folder: Path
    seen: set[str]
    usable: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, str]] = field(default_factory=list)

    @property
    def read(self) -> int:
        return self.usable + len(self.rejected)

    def set_aside(self, name: str, reason: str) -> None:
        name = name.encode(errors="replace").decode()  # a file's name need not be Unicode
        self.rejected.append({"id": name[:TEXT], "reason": reason, "source": str(self.folder)})
        self.reasons[reason] += 1

    def refuse_too_many(self, max_share: float, set_aside: Path, section: str) -> None:
        """Stop where too many records cannot be used, after these were written.

        Raises:
            UserError: There are more than `max_share` of them, or no others.
        """
        if not self.read:
            raise UserError(
                f"{self.folder} holds no records",
                "there is nothing to train on",
                "check the folder",
            )
        if self.usable and len(self.rejected) / self.read <= max_share:
            return
        write_shards(self.rejected, set_aside, REJECTED)
        raise UserError(
            f"{len(self.rejected)} of {self.read} records in {self.folder} cannot be used",
            "; ".join(f"{n}x {reason}" for reason, n in self.reasons.most_common()),
            f"look at {set_aside}, mend the data, or raise {section}.max_rejected_share "
            f"(now {max_share:g})",
        )


def _records(folder: Path) -> Iterator[Record]:
    if not folder.is_dir():
        raise UserError(
            f"There is no data folder {folder}",
            "the chain starts from the data set named by the setting `data`",
            "run `make pull` for the embedded data, or set `data` to your folder",
        )
    lines = sorted(folder.glob("*.jsonl"))
    shards = any(folder.glob("part-*.parquet"))
    if is_saved(folder, others=bool(lines) or shards):
        return saved_dataset(folder)
    if shards:
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
