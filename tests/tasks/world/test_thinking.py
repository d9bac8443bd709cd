"""Pairs for a judge that thinks: cells add up to the truth, and teachers are as flawed as said."""

from collections import Counter

import pytest

from tasks.judging.traces import parse_trace
from tasks.records.judgements import OTHER, TASKS
from tasks.world.facts import facts_wrong
from tasks.world.judging import kind_of
from tasks.world.thinking import DIMENSIONS, PER_MATCH, compared, make_pair

PAIRS = [make_pair(0, "train", task, i) for task in TASKS[2:] + TASKS[:1] for i in range(60)]


def true_winner(pair) -> str:
    return OTHER[pair.winner] if pair.details["flipped"] else pair.winner


def test_cells_are_1_4_7_or_10_and_their_sums_name_the_winner():
    for pair in PAIRS:
        first, second = pair.details["cells"]
        assert {*first, *second} <= {1, 4, 7, 10}
        if pair.task.startswith("image"):  # in clips the shapes are facts, too, and no dimension
            assert (sum(first) > sum(second)) == (true_winner(pair) == "A")
            assert abs(sum(first) - sum(second)) == PER_MATCH * pair.margin
            faults = [9 - (sum(cells) - 3) // PER_MATCH for cells in (first, second)]
            assert faults == pair.details["faults"]


def test_cells_are_counted_over_the_things_that_are_meant():
    said = [("red", "star", "center"), ("blue", "ring", "top left")]
    shown = [("blue", "ring", "top left"), ("red", "star", "top right")]
    found = compared(said, shown, "scene")
    assert found.scores == (7, 7, 4)
    assert found.seen == ("red, blue", "star, ring", "top right not center, top left")
    assert facts_wrong(said, shown) == 1
    assert compared([("red", "star", "up")] * 2, [("red", "star", "up")] * 2, "scene") is None


def test_half_of_the_pairs_are_close_and_few_labels_are_flipped():
    close = Counter(pair.margin == 1 for pair in PAIRS)
    assert 0.35 < close[True] / len(PAIRS) < 0.65
    flipped = sum(pair.details["flipped"] for pair in PAIRS)
    assert 0 < flipped < 0.12 * len(PAIRS)
    held_out = [make_pair(0, "test", "image_generation", i) for i in range(40)]
    assert not any(pair.details["flipped"] for pair in held_out)


def test_a_teachers_trace_keeps_its_layout_and_is_often_but_not_always_right():
    right, changed = [], 0
    for pair in PAIRS:
        trace = parse_trace(pair.details["trace"], pair.task)
        assert [row.name for row in trace.rows] == [n for n, _ in DIMENSIONS[kind_of(pair.task)]]
        cells = [tuple(column) for column in zip(*pair.details["cells"], strict=True)]
        changed += [row.scores for row in trace.rows] != cells
        right.append(trace.winner == pair.winner)
    assert 0.35 < changed / len(PAIRS) < 0.65  # 1 - 0.7 x 0.7 = 0.51, but for repeats of equals
    assert 0.6 < sum(right) / len(right) < 0.97


@pytest.mark.parametrize("task", TASKS)
def test_a_pair_depends_on_its_place_alone(task):
    assert make_pair(0, "dev", task, 3) == make_pair(0, "dev", task, 3)
    assert make_pair(0, "dev", task, 3) != make_pair(1, "dev", task, 3)
