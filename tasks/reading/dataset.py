"""Opens a data set, checks every record, and sets aside what cannot be used, with the reason.

The layout is recognised by what is in the folder; every layout's reader yields a name and a way to
get the sample for each record, so that pictures are opened one record at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tasks.reading.checks import TEXT, Seen, Unusable, check
from tasks.reading.layouts import recognised
from tasks.reading.splits import Place, Splits, drawn
from tasks.records.rows import (
    REJECTED,
    SAMPLES,
    Sample,
    read_rows,
    sample_row,
    write_shards,
    write_summary,
    write_table,
)
from tasks.running.errors import UserError
from tasks.running.progress import track


def read_dataset(
    folder: Path,
    out: Path,
    set_aside: Path,
    max_rejected_share: float,
    limit: int = 0,
    wanted: Callable[[Sample], bool] = lambda _: True,
    shaped: Callable[[Sample], Sample] = lambda sample: sample,
    section: str = "intake",
) -> dict[str, float]:
    """Read a data set into `out` as samples; unusable records go to `rejected.parquet`.

    Args:
        set_aside: Where the rejected records are written when too many of them fail the stage.
        limit: Read at most this many records; 0 for all.
        wanted: Tells whether a usable sample is kept; the others are counted and let go, so that a
            large data set needs no more memory than what is wanted of it.
        shaped: Makes of each sample, before it is checked, what a flow asks for; it may raise
            `Unusable` to set it aside.
        section: The section of the settings that the limits come from, for messages.

    Returns:
        Counts: records read, kept and set aside.

    Raises:
        UserError: The folder is missing or no data set, a shard is damaged, a column is missing,
            or more than `max_rejected_share` of the records cannot be used.
    """
    tally = _Tally(folder)
    splits = Splits()
    setting = "data" if section == "intake" else f"{section}.data"
    _, records = recognised(folder, splits, setting)

    def rows() -> Iterator[dict[str, Any]]:
        for name, source in track(records, "reading"):
            if limit and tally.read >= limit:
                break
            try:
                sample, row, key = checked(partial(_shaped, source, shaped), tally.seen)
            except Unusable as reason:
                tally.set_aside(name, str(reason))
                continue
            tally.usable += 1
            if wanted(sample):
                shown = sample.label if sample.corners or sample.final else ""
                tally.places.append(Place(key, sample.split, shown))
                tally.tasks.append(sample.task)
                yield row
        # before the last of them is written, so that nothing is
        tally.refuse_too_many(max_rejected_share, set_aside, section)

    write_shards(rows(), out, SAMPLES)
    final = drawn(tally.places, splits)
    if final != [place.split for place in tally.places]:
        written = zip(read_rows(out), final, strict=True)
        write_shards((row | {"split": split} for row, split in written), out, SAMPLES)
    if tally.rejected:
        write_table(tally.rejected, out / "rejected.parquet", REJECTED)
    if tally.seen.crossing:
        print(f"{tally.seen.crossing} records show pictures that are in another split, too: what is"
              " measured on them may be what was learnt by heart", flush=True)  # fmt: skip
    kept = Counter(f"{split}/{task}" for split, task in zip(final, tally.tasks, strict=True))
    write_summary(
        out,
        read=tally.read,
        kept=kept.total(),
        set_aside=dict(tally.reasons),
        tasks=dict(sorted(kept.items())),
    )
    return {"read": tally.read, "kept": kept.total(), "set_aside": len(tally.rejected)}


def _shaped(source: Callable[[], Sample], shaped: Callable[[Sample], Sample]) -> Sample:
    return shaped(source())


def checked(source: Callable[[], Sample], seen: Seen) -> tuple[Sample, dict[str, Any], str]:
    """Return a sample, its row, and the key of its pictures.

    Raises:
        Unusable: With the reason to set it aside for.
    """
    try:
        sample = source()
        key = check(sample, seen)
        return sample, sample_row(sample), key
    except MemoryError as error:
        raise Unusable("record does not fit into memory") from error


@dataclass
class _Tally:
    """What was found while reading."""

    folder: Path
    seen: Seen = field(default_factory=Seen)
    usable: int = 0
    places: list[Place] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
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
