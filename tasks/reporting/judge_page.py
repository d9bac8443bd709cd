"""Draws a judge's sheet on one page: what it is right about, how sure it may be, the pairs behind.

Run it with `python -m flows.judge` and open `outputs/judge_sheet/index.html`.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.records.rows import read_summary
from tasks.reporting.curves import curves, reliability
from tasks.reporting.lineage import costs
from tasks.reporting.made import Made
from tasks.reporting.page import environment, examples_of_rejected
from tasks.reporting.pictures import Picture, embed

PAIRS = 60  # shown, of each task the same number
COUNTED = ("judgements", "judge", "scalar_judge", "judge_answers")  # stages whose cost is told
# the measures of a task as the table has them: name, what it is called, how it is written
MEASURES = (
    ("accuracy", "right", "percent"), ("tau", "right with ties (tau)", "percent"),
    ("swap_consistency", "same in both orders", "percent"),
    ("gold_first", "right, winner shown first", "percent"),
    ("gold_second", "right, winner shown second", "percent"),
    ("unreadable", "unreadable", "percent"),
    ("calibration_error", "calibration error", "number"),
    ("calibration_error_calibrated", "calibrated", "number"),
    ("score/pair_accuracy", "right by its two scores", "percent"),
    ("score/pair_agreement", "scores go with the verdict", "percent"),
    ("score/correlation", "scores with the truth (Spearman)", "number"),
    ("score/distinct", "distinct scores", "number"),
)  # fmt: skip
CONTROLS = (
    ("without_pictures/accuracy", "right without pictures"),
    ("without_pictures/unchanged", "unchanged without pictures"),
    ("other_pictures/accuracy", "right with other pictures"),
    ("other_pictures/unchanged", "unchanged with other pictures"),
    ("repeated/tie", "one candidate twice: a tie"),
    ("injected/swayed", "swayed by an answer that praises itself"),
    ("cycles", "triples that run in a circle"),
    ("length_only", "right by length alone"),
)


@dataclass(frozen=True)
class Side:
    """One candidate of a pair, as it is shown."""

    text: str
    pictures: list[Picture]
    score: float | None
    better: bool


@dataclass(frozen=True)
class Shown:
    """One pair with what both judges say of it.

    Attributes:
        signs: What filters ask for: wrong, orders, unreadable, blind.
        verdicts: Per judge its name, its preference for the first, and its words in each order.
    """

    item: dict[str, Any]
    pictures: list[Picture]
    sides: list[Side]
    signs: list[str]
    verdicts: list[tuple[str, float | None, list[str]]]


def write_judge_page(
    out: Path,
    sheet: dict[str, Any],
    items: dict[str, list[dict[str, Any]]],
    *,
    judge: Path,
    judgements: Path,
    root: Path,
    made: Made,
) -> None:
    """Write `index.html`.

    Args:
        sheet: Measures, calibration and preferences of `start`, `judge` and, where one was
            trained, `scalar`; `comparisons` of the judge with its start, `forms` of the scalar one
            with the judge.
        items: The pairs of each (`tasks.benchmarks.judge_sheet.Sheet.items`), in the same order.
        judge, judgements: Finished folders of these stages.
        root: The checkout, which knows what they cost.
        made: What was run.
    """
    spent, total = costs(root, COUNTED)
    history = json.loads((judge / "history.json").read_text())
    reliable = {name: sheet[name]["preferences"] for name in items}
    html = (
        environment()
        .get_template("judge.html.j2")
        .render(
            made=made,
            costs=spent,
            total=total,
            sheet=sheet,
            judges=list(items),
            compared={"judge": sheet["comparisons"], "scalar": sheet.get("forms", {})},
            measures=MEASURES,
            controls=CONTROLS,
            tasks=list(sheet["judge"]["tasks"]),
            pairs=shown(items),
            curves=curves("judge", history),
            reliability=[reliability(name, held) for name, held in reliable.items() if held],
            summary=read_summary(judge),
            read=read_summary(judgements),
            rejected=examples_of_rejected(judgements),
        )
    )
    (out / "index.html").write_text(html, encoding="utf-8")


def shown(items: dict[str, list[dict[str, Any]]], number: int = PAIRS) -> list[Shown]:
    """Return pairs of every task: first those that the judge gets wrong, then the others."""
    by_task: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(items["judge"]):
        by_task[item["task"]].append(i)
    each = max(1, number // max(1, len(by_task)))
    chosen = [
        i
        for places in by_task.values()
        for i in sorted(places, key=lambda i: "wrong" not in signs(items["judge"][i]))[:each]
    ]
    return [_shown({name: rows[i] for name, rows in items.items()}) for i in chosen]


def signs(item: dict[str, Any]) -> list[str]:
    """Return what is odd about the verdicts on a pair.

    >>> signs({"first_order": "A", "other_order": "B", "said": "A", "winner": "A",
    ...        "unchanged_without_pictures": True})
    ['orders', 'blind']
    """
    orders = item["first_order"], item["other_order"]
    found = {
        "unreadable": "" in orders,
        "orders": "" not in orders and orders[0] != orders[1],
        "wrong": bool(item["winner"]) and item["said"] != item["winner"],
        "blind": item["unchanged_without_pictures"] is True,
    }
    return [name for name, seen in found.items() if seen]


def _shown(item: dict[str, dict[str, Any]]) -> Shown:
    of = item["judge"]
    pictures = _pictures(of["images"])
    generated = of["task"].endswith("generation")
    half = len(pictures) // 2
    halves = [pictures[:half], pictures[half:]] if generated else [[], []]
    texts = of["responses"] or ["", ""]
    sides = [
        Side(text, some, score, of["winner"] == name)
        for text, some, score, name in zip(texts, halves, of["scores"], "AB", strict=True)
    ]
    verdicts = [(name, held["preference"], held["texts"]) for name, held in item.items()]
    return Shown(of, [] if generated else pictures, sides, signs(of), verdicts)


def _pictures(images: Sequence[dict[str, Any]]) -> list[Picture]:
    return [picture for image in images if (picture := embed(image["bytes"]))]
