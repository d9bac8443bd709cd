"""Draws what a judge that thinks is worth: measures by way of judging, pairs with their traces.

Run it with `python -m flows.think` and open `outputs/think_sheet/index.html`.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.asking.answers import Malformed
from tasks.judging.traces import Row, Total, Trace, flaws, parse_trace
from tasks.records.judgements import OTHER
from tasks.records.rows import read_summary
from tasks.reporting.curves import curves
from tasks.reporting.lineage import costs
from tasks.reporting.made import Made
from tasks.reporting.page import environment, examples_of_rejected
from tasks.reporting.pictures import Picture, embed

PAIRS, GROUPS = 40, 12  # shown: of each task the same number of pairs, and groups of rollouts
COUNTED = ("traces", "cold_start", "sampled", "think_sft", "thinker", "think_answers")
MEASURES = (
    ("diff", "right, both orders", "percent"), ("swap", "same in both orders", "percent"),
    ("gold_first", "right, winner shown first", "percent"),
    ("gold_second", "right, winner shown second", "percent"),
    ("unreadable", "unreadable", "percent"), ("layout", "layout kept", "percent"),
    ("consistent", "consistent", "percent"), ("wrong_sum", "wrong sums", "percent"),
    ("cells", "scores exact", "percent"), ("cell_error", "error of a score", "number"),
    ("follows", "follows exchanged scores", "percent"),
    ("with_true_scores", "right after true scores", "percent"), ("voted", "by vote", "percent"),
    ("tokens", "tokens", "number"), ("seconds", "seconds", "number"),
)  # fmt: skip
SIGNS = {
    "reached_wrongly": "right verdict from wrong scores", "against": "against its totals",
    "won": "won by thinking", "lost": "lost by thinking", "orders": "orders disagree",
    "unreadable": "unreadable",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A score of a trace: the bar's width in percent, the true score where it is known."""

    score: int
    true: int | None
    seen: str

    @property
    def width(self) -> int:
        """In percent of a scale that ends at 10."""
        return max(0, min(100, 10 * self.score))


@dataclass(frozen=True)
class Shown:
    """A trace in one order, as it is drawn.

    Attributes:
        rows: Each dimension's name and its two cells.
        totals: What each sum says, and whether it is right; None where there is none.
        winner: In the order shown; "" where nothing could be read.
        text: Where there is no trace.
    """

    rows: list[tuple[str, tuple[Cell, Cell]]]
    totals: list[tuple[str, bool] | None]
    winner: str
    right: bool
    text: str


@dataclass(frozen=True)
class Pair:
    """A held-out pair, its traces in both orders, and what every way of judging said."""

    item: Mapping[str, Any]
    pictures: list[Picture]
    halves: list[list[Picture]]
    orders: list[Shown]
    ways: list[tuple[str, list[str]]]
    signs: list[str]


def write_think_page(
    out: Path,
    sheet: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    *,
    folders: Mapping[str, Path],
    root: Path,
    made: Made,
    traced: str,
    start: str,
) -> None:
    """Write `index.html`.

    Args:
        sheet: Measures by way and task, and comparisons with the start.
        items: The held-out pairs with what every way said.
        folders: Finished folders of `traces`, `sampled` and `thinker`.
        root: The checkout, which knows what the stages cost.
        traced, start: The ways whose traces are drawn, and with which they are compared.
    """
    spent, total = costs(root, COUNTED)
    thinker = folders["thinker"]
    history = json.loads((thinker / "history.json").read_text())
    probe = thinker / "headroom.json"
    html = (
        environment()
        .get_template("think.html.j2")
        .render(
            made=made,
            costs=spent,
            total=total,
            sheet=sheet,
            start=start,
            tasks=list(next(iter(sheet["measures"].values()))),
            measures=MEASURES,
            read=read_summary(folders["traces"]),
            sampled=read_summary(folders["sampled"]),
            headroom=json.loads(probe.read_text()) if probe.exists() else None,
            rejected=examples_of_rejected(folders["traces"]),
            curves=curves("policy_grpo", history),
            pairs=_pairs(items, traced, start),
            groups=_groups(thinker / "rollouts.parquet"),
            sign_texts=SIGNS,
        )
    )
    (out / "index.html").write_text(html, encoding="utf-8")


def signs(item: Mapping[str, Any], traced: str, start: str) -> list[str]:
    """Return what is odd about a pair's verdicts after a trace; names are those of `SIGNS`."""
    said = {way["way"]: way for way in item["ways"]}
    ours, before = said[traced]["winners"], said[start]["winners"]
    right, was_right = (all(w == item["winner"] for w in some) for some in (ours, before))
    traces = [_trace(text, item["task"]) for text in said[traced]["texts"]]
    true = json.loads(item["true"])
    wrong = [
        row for place, trace in enumerate(traces) if trace for row in trace.rows
        if row.name in true and list(row.scores) != _in_order(true[row.name], place)
    ]  # fmt: skip
    found = {
        "reached_wrongly": right and bool(wrong),
        "against": any("against_totals" in flaws(trace) for trace in traces if trace),
        "won": right and not was_right,
        "lost": was_right and not right,
        "orders": "" not in ours and ours[0] != ours[1],
        "unreadable": "" in ours,
    }
    return [name for name, seen in found.items() if seen]


def _pairs(items: Sequence[Mapping[str, Any]], traced: str, start: str) -> list[Pair]:
    """Return some pairs of every task, those with a sign first."""
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for item in items:
        by_task[item["task"]].append(item)
    each = -(-PAIRS // max(1, len(by_task)))
    return [
        _pair(item, traced, start)
        for some in by_task.values()
        for item in sorted(some, key=lambda item: not signs(item, traced, start))[:each]
    ]  # fmt: skip


def _pair(item: Mapping[str, Any], traced: str, start: str) -> Pair:
    pictures = [p for image in item["images"] if (p := embed(image["bytes"]))]
    generated, half = item["task"].endswith("generation"), len(pictures) // 2
    said = {way["way"]: way for way in item["ways"]}
    true = json.loads(item["true"])
    orders = [
        _shown(text, item["task"], true, place, item["winner"])
        for place, text in enumerate(said[traced]["texts"])
    ]
    return Pair(
        item, [] if generated else pictures,
        [pictures[:half], pictures[half:]] if generated else [], orders,
        [(way["way"], way["winners"]) for way in item["ways"]], signs(item, traced, start),
    )  # fmt: skip


def _shown(
    text: str, task: str, true: Mapping[str, Sequence[int]], place: int, winner: str
) -> Shown:
    """Return a trace as it is drawn.

    Args:
        true: Scores of both candidates in the pair's own order, by dimension.
        place: 1 where the pair was shown the other way round.
        winner: In the pair's own order.
    """
    trace = _trace(text, task)
    if not trace:
        return Shown([], [], "", False, text)
    rows = [(row.name, _cells(row, true, place)) for row in trace.rows]
    named = OTHER[trace.winner] if place else trace.winner
    return Shown(rows, [_told(one) for one in trace.totals], trace.winner, named == winner, text)


def _cells(row: Row, true: Mapping[str, Sequence[int]], place: int) -> tuple[Cell, Cell]:
    truth = _in_order(true[row.name], place) if row.name in true else [None, None]
    first, second = (
        Cell(score, one, seen) for score, one, seen in zip(row.scores, truth, row.seen, strict=True)
    )
    return first, second


def _in_order(scores: Sequence[int], place: int) -> list[int]:
    return list(scores)[::-1] if place else list(scores)


def _told(total: Total | None) -> tuple[str, bool] | None:
    if total is None:
        return None
    return f"{'+'.join(map(str, total.addends))}={total.stated}", sum(total.addends) == total.stated


def _trace(text: str, task: str) -> Trace | None:
    try:
        return parse_trace(text, task)
    except Malformed:
        return None


def _groups(file: Path) -> list[tuple[int, str, str, list[dict[str, Any]]]]:
    """Return kept groups of sampled traces: step, question, winner, and the answers."""
    rows = pq.read_table(file).to_pylist() if file.exists() else []
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["step"], row["group"]), []).append(row)
    return [
        (step, held[0]["question"], held[0]["reference"], held)
        for (step, _), held in list(groups.items())[-GROUPS:]
    ]
