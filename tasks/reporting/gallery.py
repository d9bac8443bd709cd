"""Which answers, preference pairs and syntheses the page shows, and what is drawn on them."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.asking.coordinates import Coordinates
from tasks.questions import kind_of
from tasks.records.boxes import Box, boxes_from
from tasks.records.rows import Sample
from tasks.reporting.pictures import (
    Picture,
    Rectangle,
    boxes_in,
    embed,
    embed_all,
    rectangles,
)

Rows = list[dict[str, Any]]
ANY_FRAME = (1_000_000, 1_000_000)  # in which every box that a model writes is inside
ITEMS, PAIRS, SYNTHESES = 60, 24, 24
# Smaller changes of a score are called none: two careful boxes around one object differ by as much.
CHANGE = 0.1
CHANGES = ("improved", "worse", "all_wrong", "unchanged")
# The order in which kinds of change are looked for: progress and harm come in equal numbers.
_CYCLE = ("improved", "worse", "unchanged", "improved", "worse", "all_wrong")


@dataclass(frozen=True)
class Answer:
    """What one policy answered."""

    policy: str
    text: str
    score: float
    reason: str
    boxes: list[Rectangle]


@dataclass(frozen=True)
class Item:
    """A held-out question with the answer of every policy.

    Attributes:
        drawn: True if there are boxes to compare; each policy then gets the picture of its own.
    """

    id: str
    task: str
    prompt: str
    reference: str
    change: str
    pictures: list[Picture | None]
    true: list[Rectangle]
    answers: list[Answer]

    @property
    def drawn(self) -> bool:
        """True if any box is drawn on the picture."""
        return bool(self.true or any(answer.boxes for answer in self.answers))


@dataclass(frozen=True)
class Example:
    """A preference pair or a synthesis: its row, its pictures and the boxes in its answer."""

    row: dict[str, Any]
    pictures: list[Picture | None]
    boxes: list[Rectangle]


def change(scores: Sequence[float]) -> str:
    """Say how the last policy's score compares with the first one's.

    >>> change([0.0, 1.0, 1.0]), change([0.8, 0.9, 0.75]), change([0.0, 0.0, 0.05])
    ('improved', 'unchanged', 'all_wrong')
    """
    if max(scores) <= CHANGE:
        return "all_wrong"
    difference = scores[-1] - scores[0]
    if abs(difference) <= CHANGE:
        return "unchanged"
    return "improved" if difference > 0 else "worse"


def changes(results: dict[str, Rows]) -> dict[str, str]:
    """Return the change of every item that all policies answered, by id."""
    scores = [{row["id"]: row["score"] for row in rows} for rows in results.values()]
    common = [i for i in scores[0] if all(i in other for other in scores)] if scores else []
    return {i: change([other[i] for other in scores]) for i in common}


def choose(
    rows: Rows, kinds: dict[str, str], aims: Sequence[str], number: int = ITEMS
) -> list[str]:
    """Choose items by a fixed rule: tasks in turn, and in each task the kinds of change in turn.

    Tasks that were trained for come four times as often and tasks with boxes twice as often as
    others. Within a task and a kind, the hash of the id decides, so nobody picks the nicest
    examples.

    Args:
        rows: The score rows of one policy.
        kinds: Item id to change.

    Returns:
        Ids, by task in the order of the table, then by change.
    """
    waiting: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    boxed: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest()):
        if row["id"] in kinds:
            waiting[row["task"]][kinds[row["id"]]].append(row["id"])
            boxed[row["task"]] += bool(row["predicted"] or boxes_in(row["reference"], ANY_FRAME))
    order = [*(task for task in aims if task in waiting), *sorted(set(waiting) - set(aims))]
    weights = {task: 4 if task in aims else 2 if boxed[task] else 1 for task in order}
    # each task starts at another point of the cycle: a task with one item is not always progress
    turns = {task: i for i, task in enumerate(order)}
    chosen: list[tuple[int, int, str]] = []
    while len(chosen) < number and any(any(left.values()) for left in waiting.values()):
        for task in [name for name in order for _ in range(weights[name])]:
            for _ in _CYCLE:
                kind = _CYCLE[turns[task] % len(_CYCLE)]
                turns[task] += 1
                if waiting[task][kind]:
                    item = waiting[task][kind].pop(0)
                    chosen.append((order.index(task), CHANGES.index(kind), item))
                    break
    return [item for _, _, item in sorted(chosen[:number])]


def items(
    ids: Sequence[str],
    results: dict[str, Rows],
    kinds: dict[str, str],
    samples: dict[str, Sample],
    coordinates: Coordinates,
) -> Iterator[Item]:
    """Yield the chosen items with everything drawn.

    Args:
        results: Score rows by policy.
        samples: The questions with their pictures, by id; one that is missing has no picture.
        coordinates: What the model writes.
    """
    by_id = {policy: {row["id"]: row for row in rows} for policy, rows in results.items()}
    for name in ids:
        sample, row = samples.get(name), next(iter(by_id.values()))[name]
        pictures = [embed(data) for data in sample.images] if sample else []
        first = pictures[0] if pictures else None
        answers = [
            Answer(
                policy,
                rows[name]["answer"],
                rows[name]["score"],
                rows[name]["reason"],
                rectangles(_predicted(rows[name], sample, coordinates), first, "predicted"),
            )
            for policy, rows in by_id.items()
        ]
        true = rectangles(sample.boxes, first, "true") if sample else []
        yield Item(
            name, row["task"], row["prompt"], row["reference"], kinds[name], pictures, true, answers
        )


def examples(rows: Rows, number: int, coordinates: Coordinates) -> list[Example]:
    """Return evenly spread rows with their pictures and the boxes in their answers."""
    shown = []
    for row in spread(rows, number):
        pictures = embed_all(row.get("images"))
        first = pictures[0] if pictures else None
        boxes = []
        if first:
            frame = coordinates.frame((first.width, first.height))
            boxes = rectangles(boxes_in(row.get("answer") or "", frame), first, "predicted")
        shown.append(Example(row, pictures, boxes))
    return shown


def spread(rows: Rows, number: int) -> Rows:
    """Return at most `number` rows at equal distances.

    >>> spread([{"id": i} for i in range(5)], 2)
    [{'id': 0}, {'id': 2}]
    """
    return [rows[i * len(rows) // number] for i in range(number)] if len(rows) > number else rows


def sentence_marks(text: str, reference: str) -> list[tuple[str, bool]]:
    """Split a description into sentences, each with whether the reference contains it.

    A text whose reference is no description comes back whole and unmarked.

    >>> sentence_marks("A red star. A ring.", "A red star. A blue ring.")
    [('A red star.', True), ('A ring.', False)]
    """
    if not reference.rstrip().endswith("."):
        return [(text, False)]
    true = set(_sentences(reference))
    return [(sentence, sentence in true) for sentence in _sentences(text)]


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=\.)\s+", text.strip()) if part]


def _predicted(row: dict[str, Any], sample: Sample | None, coordinates: Coordinates) -> list[Box]:
    if sample is None:
        return []
    frame = coordinates.frame(sample.size)
    if row["predicted"]:
        return boxes_from(row["predicted"], frame)
    return boxes_in(row["answer"], frame) if kind_of(sample).words else []
