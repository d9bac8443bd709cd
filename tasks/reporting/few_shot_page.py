"""Draws a few-shot adaptation on one page: scores, rollouts side by side, signs of tricks, items.

Run it with `python -m flows.reinforce` and open `outputs/few_shot_page/index.html`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.asking.coordinates import Coordinates
from tasks.records.boxes import Box, boxes_from
from tasks.records.rows import Sample, read_summary
from tasks.reporting import gallery
from tasks.reporting.curves import curves
from tasks.reporting.lineage import costs
from tasks.reporting.made import Made
from tasks.reporting.page import environment, examples_of_rejected
from tasks.reporting.pictures import Picture, Rectangle, boxes_in, embed, rectangles
from tasks.rewards.suspicion import SIGNS

ITEMS, COLUMNS = 48, 10  # items shown; steps in the table of signs
COUNTED = ("shots", "reinforced")  # stages whose cost is told
LOOKS = "looks.json"  # as `tasks.training.looks` writes it
# (x0,y0),(x1,y1), the form that `prompts/tagged_box_instructions.txt` asks for
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_PAIR = re.compile(rf"\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)")
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Reward:
    """What one reward gave an answer, with its share of the most that all could give."""

    name: str
    value: float
    weight: float


@dataclass(frozen=True)
class Rollout:
    """One sampled answer."""

    text: str
    boxes: list[Rectangle]
    rewards: list[Reward]
    advantage: float
    signs: list[str]

    @property
    def total(self) -> float:
        """The weighted sum of its rewards."""
        return sum(reward.value * reward.weight for reward in self.rewards)


@dataclass(frozen=True)
class Group:
    """All answers to one question at one step."""

    step: int
    question: str
    reference: str
    picture: Picture | None
    true: list[Rectangle]
    answers: list[Rollout]


def write_few_shot_page(
    out: Path,
    table: dict[str, dict[str, Any]],
    samples: Sequence[Sample],
    rows: Rows,
    *,
    adapted: Path,
    shots: Path,
    root: Path,
    coordinates: Coordinates,
    made: Made,
) -> None:
    """Write `index.html`.

    Args:
        table: What `tasks.benchmarks.visual_rft.before_and_after` returns.
        rows: What each model answered and scored, one per sample, by model (`SCORES`).
        adapted, shots: Finished folders of these stages.
        root: The checkout, which knows what they cost.
        made: What was run.
    """
    history = json.loads((adapted / "history.json").read_text())
    probe = adapted / "headroom.json"
    looks, kept = looks_of(adapted)
    spent, total = costs(root, COUNTED)
    html = (
        environment()
        .get_template("few_shot.html.j2")
        .render(
            made=made,
            costs=spent,
            total=total,
            rejected=examples_of_rejected(shots),
            table=table,
            measures=_measure_names(table),
            shots=read_summary(shots),
            headroom=json.loads(probe.read_text()) if probe.exists() else None,
            looks=looks,
            kept=kept,
            curves=curves("policy_grpo", history),
            groups=rollout_groups(adapted / "rollouts.parquet"),
            signs=sign_table(history),
            sign_texts=SIGNS,
            items=_items(samples, rows, coordinates),
        )
    )
    (out / "index.html").write_text(html, encoding="utf-8")


def rollout_groups(file: Path) -> list[Group]:
    """Return the kept groups of answers in the order of training; none without reinforcement."""
    rows = pq.read_table(file).to_pylist() if file.exists() else []
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["step"], row["group"]), []).append(row)
    return [_group(step, held) for (step, _), held in groups.items()]


def sign_table(history: Sequence[dict[str, float]]) -> list[tuple[str, list[tuple[str, float]]]]:
    """Return, for each sign, the share of answers that showed it, in equal parts of the training.

    >>> sign_table([{"train/signs/nothing": 0.0}, {"train/signs/nothing": 0.5}])[0]
    ('nothing', [('1', 0.0), ('2', 0.5)])
    """
    steps = len(history)
    parts = min(COLUMNS, steps)
    bounds = [round(i * steps / parts) for i in range(parts + 1)] if parts else []
    found = []
    for name in SIGNS:
        key, cells = f"train/signs/{name}", []
        for low, high in zip(bounds, bounds[1:], strict=False):
            values = [row[key] for row in history[low:high] if key in row]
            if values:
                title = f"{low + 1}–{high}" if high - low > 1 else str(high)
                cells.append((title, sum(values) / len(values)))
        if cells:
            found.append((name, cells))
    return found


def _group(step: int, rows: list[dict[str, Any]]) -> Group:
    first = rows[0]
    frame = tuple(first["frame"])
    picture = embed(first["images"][0]["bytes"]) if first["images"] else None
    answers = [
        Rollout(
            row["answer"],
            rectangles(_boxes(row["answer"], frame), picture, "predicted"),
            [Reward(**reward) for reward in row["rewards"]],
            row["advantage"],
            row["signs"],
        )
        for row in rows
    ]
    true = rectangles(boxes_from(first["true"], frame), picture, "true")
    return Group(step, first["question"], first["reference"], picture, true, answers)


def _boxes(text: str, frame: tuple[float, float]) -> list[Box]:
    return boxes_in(_PAIR.sub(r"[\1, \2, \3, \4]", text), frame)


def _measure_names(table: dict[str, dict[str, Any]]) -> list[str]:
    names = [name for row in table.values() for one in row["measures"].values() for name in one]
    return list(dict.fromkeys(names))


def looks_of(adapted: Path) -> tuple[list[tuple[int, float]], int | None]:
    """Return the dev score of each look by step, from step 0, and the step that was kept.

    >>> looks_of(Path("nowhere"))
    ([], None)
    """
    file = adapted / LOOKS
    if not file.exists():
        return [], None
    found = json.loads(file.read_text())
    return sorted((int(step), score) for step, score in found["scores"].items()), found["kept"]


def _items(samples: Sequence[Sample], rows: Rows, coordinates: Coordinates) -> list[gallery.Item]:
    changes = gallery.changes(rows)
    aims = tuple({s.task for s in samples if s.details.get("group", "tested") == "tested"})
    chosen = gallery.choose(rows["start"], changes, aims, ITEMS)
    known = {sample.id: sample for sample in samples}
    return list(gallery.items(chosen, rows, changes, known, coordinates))
