"""Lessons with their chains of thought, and the rows that a model learns from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from tasks.records.boxes import Box, written
from tasks.records.rows import Sample, read_samples
from tasks.synthesis.grounding.bank import Bank, boxes_of
from tasks.synthesis.grounding.injecting import inject
from tasks.synthesis.grounding.targets import Target, targets_of

Unverified = Literal["leave", "ask_again", "drop"]


@dataclass(frozen=True)
class Lesson:
    """A labelled question with the chains that reach its answer.

    Attributes:
        chains: The teacher's right ones, the first one first.
        facts: The targets of each chain.
    """

    sample: Sample
    chains: tuple[str, ...]
    facts: tuple[tuple[Target, ...], ...]

    @property
    def targets(self) -> list[Target]:
        """The targets of all chains, each text once."""
        return list({t.text: t for some in reversed(self.facts) for t in reversed(some)}.values())


def kept_lessons(data: Path, split: str, tagger: str) -> list[Lesson]:
    """Return the lessons of a split that have a chain with a right answer.

    What the data says about places stays behind: boxes are found without it.

    Args:
        data: What the stage `lessons` wrote.
    """
    chains: dict[str, list[str]] = {}
    for row in pq.read_table(data / "chains.parquet").to_pylist():
        if not row["dropped"]:
            chains.setdefault(row["id"], []).append(row["chain"])
    return [
        Lesson(_blind(sample), tuple(held), tuple(tuple(targets_of(t, tagger)) for t in held))
        for sample in read_samples(data, split)
        if (held := chains.get(sample.id))
    ]


def _blind(sample: Sample) -> Sample:
    return sample.model_copy(update={"corners": [], "details": {}})


def grounded_chain(lesson: Lesson, bank: Bank, unverified: Unverified) -> str | None:
    """Return a chain of a lesson with its verified boxes; None where it is dropped.

    Args:
        unverified: What becomes of a chain with a fact that nothing verified: it stays as it is,
            gives way to the first attempt whose facts are all verified (and stays where there is
            none), or is dropped.
    """
    boxes = boxes_of(bank, lesson.sample.id)
    whole = [
        text for text, facts in zip(lesson.chains, lesson.facts, strict=True)
        if all(fact.text in boxes for fact in facts)
    ]  # fmt: skip
    if unverified == "drop":
        return with_boxes(lesson.chains[0], boxes) if lesson.chains[0] in whole else None
    chosen = whole[0] if whole and unverified == "ask_again" else lesson.chains[0]
    return with_boxes(chosen, boxes)


def with_boxes(chain: str, boxes: Mapping[str, Box]) -> str:
    """Return a chain with boxes in the form that the model writes."""
    return inject(chain, {target: str(written(box, box.frame)) for target, box in boxes.items()})
