"""Draws pairs for a judge that thinks: the cells of its trace are known, its teacher is flawed.

A cell is 1 + 3 x the facts of three things that match, 1 to 10: bare counts begin at 0, outside the
scale of a trace. A teacher gets a score wrong by one match, or lets all dimensions repeat the
first, as often as teachers do; some labels of the pairs to learn from are flipped, too. How often
is fixed before anything is measured.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from tasks.judging.traces import Row, write_trace
from tasks.records.images import to_png
from tasks.records.judgements import OTHER, TIE, A, B, Judgement
from tasks.world.arranging import rendered
from tasks.world.facts import Thing, matching
from tasks.world.judging import draft_judgement, kind_of

# the dimensions of a trace, and which fact of a thing each is about
DIMENSIONS: dict[str, tuple[tuple[str, int], ...]] = {
    "scene": (("Colors", 0), ("Shapes", 1), ("Places", 2)),
    "clip": (("Colors", 0), ("Motion", 2), ("Steadiness", 3)),
}
PER_MATCH = 3
OFF_BY_ONE, HALO, FLIPPED = 0.3, 0.3, 0.05  # of the teacher's traces, and of the labels
CLOSE = 0.5  # of the pairs are one fact apart


def make_pair(seed: int, split: str, task: str, i: int) -> Judgement:
    """Draw a pair with its true cells (`details.cells`) and its teacher's trace (`details.trace`).

    >>> pair = make_pair(0, "test", "image_generation", 0)
    >>> [len(scores) for scores in pair.details["cells"]], pair.winner in "AB"
    ([3, 3], True)
    """
    rng = random.Random(f"thinking/{seed}/{split}/{task}/{i}")
    close = rng.random() < CLOSE
    names = [name for name, _ in DIMENSIONS[kind_of(task)]]
    while True:
        draft = draft_judgement(rng, split, task, "pair")
        judgement = draft.judgement
        if judgement.winner == TIE or close != (judgement.margin == 1):
            continue
        said, shown = judgement.details["said"], judgement.details["shown"]
        if any(len(thing) < len(names) for things in said for thing in things):
            continue  # a list of one fact of each thing
        pairs = zip(said, shown * (2 if len(shown) == 1 else 1), strict=True)
        cells = [cells_of(one, other, kind_of(task)) for one, other in pairs]
        if None not in cells:
            break
    frames = [frame for shapes in draft.shown for frame in rendered(rng, shapes).frames]
    flipped = split == "train" and rng.random() < FLIPPED
    winner = OTHER[judgement.winner] if flipped else judgement.winner
    columns = list(zip(*cells, strict=True))
    return replace(
        judgement,
        id=f"{split}-{task}-{i}",
        media=tuple(to_png(frame) for frame in frames),
        split=split,
        source=task,
        winner=winner,
        details=judgement.details | {
            "cells": [list(one) for one in cells], "flipped": flipped,
            "trace": taught_trace(rng, task, names, columns),
        },
    )  # fmt: skip


def cells_of(said: Sequence[Thing], shown: Sequence[Thing], kind: str) -> tuple[int, ...] | None:
    """Return the cells of one candidate; None where nobody could say which thing is which.

    >>> cells_of([("red", "star", "up")], [("red", "ring", "up")], "scene")
    (4, 1, 4)
    """
    told = [tuple(thing) for thing in said]
    there = [tuple(thing)[: len(told[0])] for thing in shown]
    partners = matching(told, there)
    if partners is None:
        return None
    return tuple(
        1 + PER_MATCH * sum(
            part >= len(thing) or thing[part] == there[partner][part]
            for thing, partner in zip(told, partners, strict=True)
        )
        for _, part in DIMENSIONS[kind]
    )  # fmt: skip


def taught_trace(
    rng: random.Random, task: str, names: Sequence[str], columns: Sequence[tuple[int, int]]
) -> str:
    """Return what a teacher writes about a pair: its own scores, their sums, and its verdict.

    Args:
        columns: True cells of both candidates, for each dimension.
    """
    scores = [list(pair) for pair in columns]
    if rng.random() < OFF_BY_ONE:
        row, side = rng.randrange(len(scores)), rng.randrange(2)
        there = scores[row][side]
        ways = [v for v in (there - PER_MATCH, there + PER_MATCH) if 1 <= v <= 10]
        scores[row][side] = rng.choice(ways)
    if rng.random() < HALO:
        scores = [list(scores[0]) for _ in scores]
    rows = [Row(name, (a, b)) for name, (a, b) in zip(names, scores, strict=True)]
    first, second = (sum(row.scores[side] for row in rows) for side in (0, 1))
    return write_trace(task, rows, A if first > second else B)
