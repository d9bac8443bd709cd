"""Draws what a model learnt from a few questions: the box of every fact, and answers side by side.

Run it with `python -m flows.ground` and open `outputs/reasoning_page/index.html`.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.records.rows import Sample, read_samples, read_summary
from tasks.reporting.curves import curves
from tasks.reporting.lineage import costs
from tasks.reporting.made import Made
from tasks.reporting.page import environment, examples_of_rejected
from tasks.reporting.pictures import Picture, Rectangle, embed, rectangles
from tasks.synthesis.grounding.bank import box_from

LESSONS, ITEMS = 24, 48  # shown
COUNTED = ("lessons", "boxes", "reasoner", "reasoning")  # stages whose cost is told
# measures of the table: name, what it is called
MEASURES = (
    ("exact", "right"), ("relaxed", "within 5 %"), ("anls", "ANLS"),
    ("faithful", "right, all facts true"), ("fact_errors", "wrong facts"),
    ("right_for_wrong_reasons", "right for wrong reasons"),
)  # fmt: skip
ROUNDS = (
    ("proposed", "targets"), ("parsable", "with a box"), ("too_large", "too large"),
    ("verified", "read back"), ("new", "new"), ("lost", "lost"), ("bank", "in the bank"),
)  # fmt: skip
SHARES = (
    ("ratio", "read back (ρ)"), ("held_out_ratio", "on held-out pages"),
    ("precision_proposed", "proposed, true"), ("precision_verified", "read back, true"),
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """A target of a lesson over the rounds.

    Attributes:
        state: `verified`, `kept` (in an earlier round only) or `failed`.
        rounds: Of each round what was read there, or why the box failed.
    """

    target: str
    state: str
    rounds: list[str]


@dataclass(frozen=True)
class Shown:
    """A lesson with its facts.

    Attributes:
        strip: Of each round the boxes over the picture.
        learnt: What the model learns of it; "" where it is dropped.
    """

    sample: Sample
    picture: Picture | None
    facts: list[Fact]
    strip: list[list[Rectangle]]
    learnt: str
    signs: list[str]


@dataclass(frozen=True)
class Answered:
    """A held-out question with every way of answering it."""

    sample: Sample
    picture: Picture | None
    answers: list[tuple[str, dict[str, Any], list[Rectangle]]]
    signs: list[str]


def write_ground_page(
    out: Path,
    *,
    lessons: Path,
    boxes: Path,
    reasoner: Path,
    reasoning: Path,
    answers: dict[str, list[dict[str, Any]]],
    root: Path,
    made: Made,
) -> None:
    """Write `index.html`.

    Args:
        lessons, boxes, reasoner, reasoning: Finished folders of these stages.
        answers: Rows of every way of answering, by its name.
        root: The checkout, which knows what the stages cost.
        made: What was run.
    """
    spent, total = costs(root, COUNTED)
    history = json.loads((reasoner / "history.json").read_text())
    html = (
        environment()
        .get_template("ground.html.j2")
        .render(
            made=made,
            costs=spent,
            total=total,
            table=json.loads((reasoning / "table.json").read_text()),
            measures=MEASURES,
            rounds=json.loads((boxes / "rounds.json").read_text()),
            counts=ROUNDS,
            shares=SHARES,
            lessons=lessons_shown(lessons, boxes, reasoner),
            items=items_shown(read_samples(lessons, "test"), answers),
            curves=curves("reasoner", history),
            read=read_summary(lessons),
            learnt=read_summary(reasoner),
            rejected=examples_of_rejected(lessons),
        )
    )
    (out / "index.html").write_text(html, encoding="utf-8")


def lessons_shown(lessons: Path, boxes: Path, reasoner: Path) -> list[Shown]:
    """Return the lessons with the boxes of their facts, those with unverified facts first."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in pq.read_table(boxes / "proposals.parquet").to_pylist():
        if row["split"] == "train":
            rows[row["sample_id"]].append(row)
    bank = {(r["sample_id"], r["target"]) for r in _rows(boxes / "bank.parquet")}
    learnt = {row["id"]: row["text"] for row in _rows(reasoner / "learnt.parquet")}
    found = [
        _lesson(sample, rows.get(sample.id, []), bank, learnt.get(sample.id, ""))
        for sample in read_samples(lessons, "train")
    ]
    return sorted(found, key=lambda shown: "unverified" not in shown.signs)[:LESSONS]


def items_shown(
    samples: Sequence[Sample], answers: dict[str, list[dict[str, Any]]]
) -> list[Answered]:
    """Return held-out questions with all answers, those first that changed."""
    found = []
    for i, sample in enumerate(samples):
        picture = embed(sample.images[0]) if sample.images else None
        held = []
        for name, rows in answers.items():
            drawn = [
                rectangle
                for fact in rows[i]["facts"] or []
                if fact["box"]
                for rectangle in rectangles([box_from(fact)], picture, _kind(fact["true"]))
            ]
            held.append((name, rows[i], drawn))
        found.append(Answered(sample, picture, held, signs([rows[i] for rows in answers.values()])))
    return sorted(found, key=lambda item: "same" in item.signs)[:ITEMS]


def signs(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is to be seen in the answers to one question; the first and last are compared.

    >>> signs([{"exact": 0.0, "facts": []}, {"exact": 1.0, "facts": [{"true": "no"}]}])
    ['better', 'wrong-reasons']
    """
    first, last = rows[0]["exact"], rows[-1]["exact"]
    found = ["better" if last > first else "worse" if last < first else "same"]
    untrue = any(fact["true"] == "no" for fact in rows[-1]["facts"] or [])
    if last and untrue:
        found.append("wrong-reasons")
    return found


def _lesson(
    sample: Sample, rows: list[dict[str, Any]], bank: set[tuple[str, str]], learnt: str
) -> Shown:
    picture = embed(sample.images[0]) if sample.images else None
    by_round: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_round[row["round"]].append(row)
    last = max(by_round, default=0)
    facts = []
    for target in dict.fromkeys(row["target"] for row in rows):
        mine = [row for row in rows if row["target"] == target]
        verified = not mine[-1]["failed"]
        kept = (sample.id, target) in bank
        state = "verified" if verified else "kept" if kept else "failed"
        facts.append(Fact(target, state, [row["read"] or row["failed"] for row in mine]))
    strip = [
        [
            rectangle
            for row in by_round[number] if row["box"]
            for rectangle in rectangles(
                [box_from(row)], picture, "predicted" if row["failed"] else "true"
            )
        ]
        for number in range(last + 1) if number in by_round
    ]  # fmt: skip
    signs = ["unverified"] if any(fact.state == "failed" for fact in facts) else []
    signs += ["lost"] if any(fact.state == "kept" for fact in facts) else []
    return Shown(sample, picture, facts, strip, learnt, signs + ([] if learnt else ["dropped"]))


def _kind(true: str) -> str:
    return "true" if true == "yes" else "predicted"


def _rows(file: Path) -> list[dict[str, Any]]:
    return pq.read_table(file).to_pylist()
