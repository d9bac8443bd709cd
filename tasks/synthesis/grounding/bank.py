"""The boxes that were verified so far, of every target of every sample.

Specification of GCoT, section 3 (step C3), keyed by sample and target (8.4, 8.5): a target that is
verified again takes the newer box, and one that fails now keeps its older one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.records.boxes import Box

Key = tuple[str, str]  # the sample's id, and the target as it stands in the chain


@dataclass(frozen=True)
class Entry:
    """A verified box.

    Attributes:
        found: The round that verified the target first.
        verified: The round that verified this box.
    """

    box: Box
    found: int
    verified: int


Bank = dict[Key, Entry]


def merged(bank: Bank, verified: Mapping[Key, Box], round_: int) -> Bank:
    """Return the bank after a round; the bank before stays as it was.

    >>> first = merged({}, {("a", "5"): Box(0, 0, 1, 1, (9, 9))}, 0)
    >>> second = merged(first, {("a", "5"): Box(2, 2, 3, 3, (9, 9))}, 1)
    >>> second["a", "5"].box.x0, second["a", "5"].found, merged(second, {}, 2) == second
    (2, 0, True)
    """
    found = dict(bank)
    for key, box in verified.items():
        first = bank[key].found if key in bank else round_
        found[key] = Entry(box, first, round_)
    return found


def lost(bank: Bank, verified: Mapping[Key, Box]) -> set[Key]:
    """Return what has a box from before and was not verified again."""
    return bank.keys() - verified.keys()


def boxes_of(bank: Bank, sample: str) -> dict[str, Box]:
    """Return the boxes of one sample by target."""
    return {target: entry.box for (owner, target), entry in bank.items() if owner == sample}


def rows_of(bank: Bank) -> list[dict[str, Any]]:
    """Return a bank as rows of plain values, for a table or JSON."""
    return [
        {
            "sample_id": owner, "target": target, "found": entry.found, "verified": entry.verified,
            "box": corners_of(entry.box), "frame": list(entry.box.frame),
        }
        for (owner, target), entry in bank.items()
    ]  # fmt: skip


def bank_from(rows: Iterable[Mapping[str, Any]]) -> Bank:
    """Return the bank of the rows that `rows_of` made.

    >>> bank = merged({}, {("a", "5"): Box(0, 0, 1, 1, (9, 9))}, 0)
    >>> bank_from(rows_of(bank)) == bank
    True
    """
    return {
        (row["sample_id"], row["target"]): Entry(box_from(row), row["found"], row["verified"])
        for row in rows
    }


def corners_of(box: Box) -> list[float]:
    """Return the corners of a box, not rounded."""
    return [box.x0, box.y0, box.x1, box.y1]


def box_from(row: Mapping[str, Any]) -> Box:
    """Return the box of a row with its corners (`box`) and its `frame`."""
    return Box(*row["box"], frame=tuple(row["frame"]))
