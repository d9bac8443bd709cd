"""Stops before anything is trained, where there is nothing to learn from or to measure on."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tasks.reading.splits import FEWEST, key_of
from tasks.records.rows import read_rows, read_summary, sample_of
from tasks.running.errors import UserError


def by_split(tasks: Mapping[str, int]) -> dict[str, int]:
    """Add up the samples of all tasks, by split.

    >>> by_split({"train/count": 2, "train/find": 1, "test/find": 1})
    {'train': 3, 'dev': 0, 'test': 1}
    """
    counts = Counter({"train": 0, "dev": 0, "test": 0})
    for name, number in tasks.items():
        counts[name.partition("/")[0]] += number
    return dict(counts)


def check_held_out(folder: Path, read: Path) -> None:
    """Say how many samples each split has.

    Args:
        folder: The data set.
        read: Where its samples were written.

    Raises:
        UserError: There is nothing to learn from, or nothing to test on.
    """
    summary = read_summary(read)
    counts, reasons = by_split(summary["tasks"]), summary["set_aside"]
    told = ", ".join(f"{split} {number}" for split, number in counts.items())
    print(f"samples: {told}", flush=True)
    lacking = [split for split in ("train", "test") if not counts[split]]
    if not lacking:
        if not counts["dev"]:
            print("dev 0: no step is chosen by held-out questions", flush=True)
        return
    aside = "; ".join(f"{number}x {reason}" for reason, number in reasons.items())
    fewest, rows = 1 + sum(FEWEST.values()), map(sample_of, read_rows(read))
    different = len({key_of(sample.images, sample.prompt) for sample in rows})
    raise UserError(
        f"{folder} has no usable samples of the split {' and '.join(lacking)}",
        f"a model is measured on pictures that it has not seen; there are {told}, "
        f"{different} different pictures"
        + (f" (set aside: {aside})" if aside else "")
        + f". Where no part of the data is a test part, {' and '.join(_words())} are drawn, "
        f"which takes at least {fewest} different pictures, but never the last one of a class",
        "add pictures, or name a part of the data `test`: a file, a folder, or the field `split`",
    )


def _words() -> list[str]:
    return [f"{number} {split} picture{'s' * (number > 1)}" for split, number in FEWEST.items()]
