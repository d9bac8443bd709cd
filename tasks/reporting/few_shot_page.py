"""Draws a few-shot adaptation on one page: scores, rollouts side by side, signs of tricks, items.

Run it with `python -m flows.reinforce` and open `outputs/perception/index.html`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.asking.coordinates import Coordinates
from tasks.benchmarks.perception import score_row
from tasks.questions import Score
from tasks.records.boxes import Box, boxes_from
from tasks.records.rows import Sample, read_summary
from tasks.reporting import gallery
from tasks.reporting.curves import curves
from tasks.reporting.page import environment
from tasks.reporting.pictures import Picture, Rectangle, boxes_in, embed, rectangles
from tasks.rewards.suspicion import SIGNS

ITEMS, COLUMNS = 48, 10  # items shown; steps in the table of signs
# (x0,y0),(x1,y1), the form that `prompts/tagged_box_instructions.txt` asks for
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_PAIR = re.compile(rf"\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)")
Results = dict[str, Sequence[tuple[str, Score]]]


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
    results: Results,
    *,
    adapted: Path,
    shots: Path,
    coordinates: Coordinates,
) -> None:
    """Write `index.html`.

    Args:
        table: What `tasks.benchmarks.visual_rft.before_and_after` returns.
        results: (answer, score) per sample, by model.
        adapted, shots: Finished folders of these stages.
    """
    history = json.loads((adapted / "history.json").read_text())
    probe = adapted / "headroom.json"
    html = (
        environment()
        .get_template("few_shot.html.j2")
        .render(
            table=table,
            measures=_measure_names(table),
            shots=read_summary(shots),
            headroom=json.loads(probe.read_text()) if probe.exists() else None,
            looks=_looks(history),
            curves=curves("policy_grpo", history),
            groups=rollout_groups(adapted / "rollouts.parquet"),
            signs=sign_table(history),
            sign_texts=SIGNS,
            items=_items(samples, results, coordinates),
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


def _looks(history: Sequence[dict[str, float]]) -> list[tuple[int, float]]:
    return [(i, row["dev/score"]) for i, row in enumerate(history, 1) if "dev/score" in row]


def _items(
    samples: Sequence[Sample], results: Results, coordinates: Coordinates
) -> list[gallery.Item]:
    rows = {
        model: [score_row(s, *answer) for s, answer in zip(samples, held, strict=True)]
        for model, held in results.items()
    }
    changes = gallery.changes(rows)
    aims = tuple({s.task for s in samples if s.details.get("group", "tested") == "tested"})
    chosen = gallery.choose(rows["start"], changes, aims, ITEMS)
    known = {sample.id: sample for sample in samples}
    return list(gallery.items(chosen, rows, changes, known, coordinates))
