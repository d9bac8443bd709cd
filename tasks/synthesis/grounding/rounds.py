"""One pass over all targets: locate, read back, keep what reads the same, and count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.asking.asker import Asker
from tasks.asking.coordinates import Coordinates
from tasks.records.boxes import written
from tasks.records.rows import Sample
from tasks.synthesis.grounding.bank import (
    Bank,
    Entry,
    bank_from,
    box_from,
    corners_of,
    lost,
    merged,
    rows_of,
)
from tasks.synthesis.grounding.chains import reference_of
from tasks.synthesis.grounding.lessons import Lesson
from tasks.synthesis.grounding.locating import (
    Proposal,
    Reading,
    counted,
    locate,
    locate_words,
    read_back,
)
from tasks.synthesis.grounding.measuring import is_true
from tasks.synthesis.grounding.targets import Target

Wanted = list[tuple[Sample, Target]]
Truth = Mapping[str, list | None]  # what stands where in a picture, by sample, if that is known


@dataclass
class Rounds:
    """What the rounds have found so far.

    Attributes:
        rows: One per proposal of every round, in plain values.
        counts: Of each round.
    """

    bank: Bank = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, float]] = field(default_factory=list)

    def packed(self) -> dict[str, Any]:
        """Return all of it in plain values."""
        return {"bank": rows_of(self.bank), "rows": self.rows, "counts": self.counts}

    @classmethod
    def of(cls, packed: Mapping[str, Any]) -> "Rounds":
        """Return what was packed."""
        return cls(bank_from(packed["bank"]), packed["rows"], packed["counts"])


def wanted_of(lessons: Sequence[Lesson]) -> Wanted:
    """Return every target of every lesson."""
    return [(lesson.sample, target) for lesson in lessons for target in lesson.targets]


def passed(
    found: Rounds, asker: Asker, learnt: Wanted, held_out: Wanted, truth: Truth,
    coordinates: Coordinates, reading: Reading,
) -> Rounds:  # fmt: skip
    """Return what is found after one more pass; the rounds before stay as they were.

    Args:
        held_out: Targets on other pages: on its own, what is read back is also what was learnt.
        truth: For the counts alone.
    """
    number, before = len(found.counts), found.bank
    passes = {
        split: read_back(asker, locate(asker, some, coordinates, reading.largest_share), reading)
        for split, some in (("train", learnt), ("dev", held_out))
    }  # fmt: skip
    verified = {p.key: p.box for p in passes["train"] if not p.failed and p.box}
    bank = merged(before, verified, number)
    counts = counted(passes["train"]) | {
        f"held_out_{name}": value for name, value in counted(passes["dev"]).items()
    }
    counts |= {
        "new": float(len(verified.keys() - before.keys())),
        "lost": float(len(lost(before, verified))),
        "bank": float(len(bank)),
    }
    counts |= _precision(passes["train"], truth)
    rows = [_row(number, split, p) for split, some in passes.items() for p in some]
    return Rounds(bank, found.rows + rows, [*found.counts, counts])


def lessons_of_round(
    bank: Bank, lessons: Sequence[Lesson]
) -> list[tuple[str, str, Sequence[bytes]]]:
    """Return what the next round's model learns: verified boxes, and the plain questions.

    Asked in the words in which boxes are looked for (specification, 8.15).
    """
    samples = {lesson.sample.id: lesson.sample for lesson in lessons}
    rows = [
        (locate_words(target), str(written(entry.box, entry.box.frame)), samples[owner].images)
        for (owner, target), entry in bank.items()
    ]
    return rows + [(x.prompt, reference_of(x), x.images) for x in samples.values()]


def proposed(rows: Sequence[Mapping[str, Any]], number: int = 0) -> Bank:
    """Return the boxes as a round proposed them, whether they read back or not.

    Args:
        rows: Of `Rounds`.
    """
    return {
        (row["sample_id"], row["target"]): Entry(box_from(row), number, number)
        for row in rows
        if row["round"] == number and row["split"] == "train" and row["box"]
    }


def _precision(proposals: Sequence[Proposal], truth: Truth) -> dict[str, float]:
    """Return how many boxes point at the truth, where the data knows it; nobody else is told."""
    known = [(p, is_true(p, truth.get(p.sample.id))) for p in proposals if p.box]
    known = [(p, true) for p, true in known if true is not None]
    verified = [(p, true) for p, true in known if not p.failed]
    return {
        f"precision_{name}": sum(bool(true) for _, true in some) / len(some)
        for name, some in (("proposed", known), ("verified", verified)) if some
    }  # fmt: skip


def _row(number: int, split: str, p: Proposal) -> dict[str, Any]:
    box, frame = ([], []) if p.box is None else (corners_of(p.box), list(p.box.frame))
    read = " / ".join(f"{way}: {text}" for way, text in p.readbacks)
    return {
        "round": number, "split": split, "sample_id": p.sample.id, "target": p.target.text,
        "kind": p.target.kind, "text": p.text, "box": box, "frame": frame, "read": read,
        "failed": p.failed,
    }  # fmt: skip
