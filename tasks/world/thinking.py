"""Draws pairs for a judge that thinks: the cells of its trace are known, its teacher is flawed.

A cell is 1 + 3 x the facts of three things that match, 1 to 10: bare counts begin at 0, outside the
scale of a trace. Before it stands what is there in place of each thing, and what it should be:
`red, pink not blue, green (7/10)`. A teacher gets a score wrong by one match, or lets all
dimensions repeat the first, as often as teachers do; some labels of the pairs to learn from are
flipped, too. How often is fixed before anything is measured.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.judging.traces import Row, write_trace
from tasks.records.images import to_png
from tasks.records.judgements import OTHER, TIE, A, B, Judgement, Task, sample_of_judgement
from tasks.records.rows import Sample
from tasks.world.arranging import rendered
from tasks.world.drawing import SPLITS
from tasks.world.facts import Thing, matching
from tasks.world.judging import Draft, draft_judgement, kind_of
from tasks.world.writing import write_drawn

# the dimensions of a trace, and which fact of a thing each is about
DIMENSIONS: dict[str, tuple[tuple[str, int], ...]] = {
    "scene": (("Colors", 0), ("Shapes", 1), ("Places", 2)),
    "clip": (("Colors", 0), ("Motion", 2), ("Steadiness", 3)),
}
PER_MATCH = 3
ASKED: tuple[Task, ...] = ("image_generation", "image_understanding")  # tasks of the data set
OFF_BY_ONE, HALO, FLIPPED = 0.3, 0.3, 0.05  # of the teacher's traces, and of the labels
CLOSE = 0.5  # of the pairs are one fact apart
PART = 100  # pairs that a process draws at a time


@dataclass(frozen=True)
class Compared:
    """A candidate beside its caption, dimension by dimension.

    Attributes:
        scores: 1, 4, 7 or 10 of each.
        seen: What is there in place of each thing that the caption names, in its order: `ring`, or
            `ring not star`.
    """

    scores: tuple[int, ...]
    seen: tuple[str, ...]


def make_pair(seed: int, split: str, task: str, i: int) -> Judgement:
    """Draw a pair with its true cells (`details.cells`) and its teacher's trace (`details.trace`).

    >>> pair = make_pair(0, "test", "image_generation", 0)
    >>> [len(scores) for scores in pair.details["cells"]], pair.winner in "AB"
    ([3, 3], True)
    """
    rng = random.Random(f"thinking/{seed}/{split}/{task}/{i}")
    close = rng.random() < CLOSE
    while True:
        draft, both = draw_compared(rng, split, task)
        judgement = draft.judgement
        if judgement.winner != TIE and close == (judgement.margin == 1):
            break
    frames = [frame for shapes in draft.shown for frame in rendered(rng, shapes).frames]
    flipped = split == "train" and rng.random() < FLIPPED
    rows = rows_of(task, both)
    return replace(
        judgement,
        id=f"{split}-{task}-{i}",
        media=tuple(to_png(frame) for frame in frames),
        split=split,
        source=task,
        winner=OTHER[judgement.winner] if flipped else judgement.winner,
        details=judgement.details | {
            "dimensions": [row.name for row in rows],
            "cells": [list(one.scores) for one in both],
            "seen": [list(one.seen) for one in both],
            "flipped": flipped, "trace": taught_trace(rng, task, rows),
        },
    )  # fmt: skip


def draw_compared(rng: random.Random, split: str, task: str) -> tuple[Draft, list[Compared]]:
    """Draw a pair of captions, or of pictures for one, both compared with what is there."""
    kind = kind_of(task)
    while True:
        draft = draft_judgement(rng, split, task, "pair")
        said, shown = draft.judgement.details["said"], draft.judgement.details["shown"]
        if any(len(thing) < len(DIMENSIONS[kind]) for things in said for thing in things):
            continue  # a list of one fact of each thing
        pairs = zip(said, shown * (2 if len(shown) == 1 else 1), strict=True)
        both = [found for one, other in pairs if (found := compared(one, other, kind))]
        if len(both) == len(said):
            return draft, both


def compared(said: Sequence[Thing], shown: Sequence[Thing], kind: str) -> Compared | None:
    """Compare a caption with what is there; None where nobody could say which thing is which.

    >>> compared([("red", "star", "up")], [("red", "ring", "up")], "scene")
    Compared(scores=(4, 1, 4), seen=('red', 'ring not star', 'up'))
    """
    told = [tuple(thing) for thing in said]
    partners = matching(told, [tuple(thing)[: len(told[0])] for thing in shown])
    if partners is None:
        return None
    there = [shown[partner] for partner in partners]
    scores, seen = [], []
    for _, part in DIMENSIONS[kind]:
        beside = [
            (true[part], thing[part] if part < len(thing) else true[part])
            for thing, true in zip(told, there, strict=True)
        ]
        scores.append(1 + PER_MATCH * sum(one == other for one, other in beside))
        seen.append(", ".join(true if true == one else f"{true} not {one}" for true, one in beside))
    return Compared(tuple(scores), tuple(seen))


def rows_of(task: str, both: Sequence[Compared], which: Sequence[int] = ()) -> list[Row]:
    """Return the true rows of a trace.

    Args:
        which: Dimensions by their places; all without any.
    """
    names = [name for name, _ in DIMENSIONS[kind_of(task)]]
    first, second = both
    return [
        Row(names[n], (first.scores[n], second.scores[n]), (first.seen[n], second.seen[n]))
        for n in which or range(len(names))
    ]


def taught_trace(rng: random.Random, task: str, rows: Sequence[Row]) -> str:
    """Return what a teacher writes about a pair: its own scores, their sums, and its verdict.

    Args:
        rows: The true ones.
    """
    scores = [list(row.scores) for row in rows]
    if rng.random() < OFF_BY_ONE:
        row, side = rng.randrange(len(scores)), rng.randrange(2)
        there = scores[row][side]
        ways = [v for v in (there - PER_MATCH, there + PER_MATCH) if 1 <= v <= 10]
        scores[row][side] = rng.choice(ways)
    if rng.random() < HALO:
        scores = [list(scores[0]) for _ in scores]
    given = [replace(row, scores=(a, b)) for row, (a, b) in zip(rows, scores, strict=True)]
    first, second = (sum(row.scores[side] for row in given) for side in (0, 1))
    return write_trace(task, given, A if first > second else B)


def write_thinking_world(folder: Path, seed: int, sizes: dict[str, int], processes: int = 2) -> int:
    """Write the pairs as samples, and return their number.

    Args:
        sizes: Pairs of each task in a split.
    """
    jobs = [
        (seed, split, task, first, min(PART, sizes[split] - first))
        for split in SPLITS for task in ASKED for first in range(0, sizes[split], PART)
    ]  # fmt: skip
    return write_drawn(folder, _part, jobs, processes, seed=seed, of_each=sizes)


def _part(job: tuple[int, str, str, int, int]) -> list[Sample]:
    *arguments, first, number = job
    return [sample_of_judgement(make_pair(*arguments, i)) for i in range(first, first + number)]
