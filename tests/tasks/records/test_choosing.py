"""A part holds something of every kind, is balanced, keeps the order and is always the same."""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.records.choosing import fewer, fewer_of_each, hold_out, of_each, spread

TASKS = Path(__file__).parents[3] / "tasks"
KINDS = st.lists(st.sampled_from("abcde"), max_size=60)
PARTS = (spread, of_each)


def numbered(kinds):
    return [SimpleNamespace(task=kind, place=i) for i, kind in enumerate(kinds)]


@given(KINDS, st.integers(0, 70))
def test_every_kind_is_among_the_chosen_and_the_shares_are_even(kinds, number):
    items = numbered(kinds)
    chosen = spread(items, number)
    there, taken = Counter(kinds), Counter(item.task for item in chosen)
    assert len(chosen) == min(number, len(items))
    if number >= len(there):
        assert set(taken) == set(there)
    # who has more than another could give more: shares differ by one at most
    most = max(taken.values(), default=0)
    assert all(taken[kind] >= most - 1 for kind in there if taken[kind] < there[kind])


@pytest.mark.parametrize("part", PARTS)
@given(kinds=KINDS, number=st.integers(0, 70))
def test_a_part_keeps_the_order_takes_nothing_twice_and_is_the_same_again(part, kinds, number):
    items = numbered(kinds)
    places = [item.place for item in part(items, number)]
    assert places == sorted(set(places)) == [item.place for item in part(items, number)]


@given(KINDS, st.integers(0, 70))
def test_of_each_kind_there_are_as_many_as_wanted_or_all(kinds, number):
    taken = Counter(item.task for item in of_each(numbered(kinds), number))
    assert all(taken[kind] == min(number, n) for kind, n in Counter(kinds).items())


@given(st.integers(1, 200), st.integers(1, 200))
def test_a_kind_is_taken_from_its_whole_length(length, number):
    chosen = [item.place for item in spread(numbered("a" * length), number)]
    gaps = {b - a for a, b in zip(chosen, chosen[1:], strict=False)}
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert chosen[0] == 0 and length - chosen[-1] <= length // len(chosen) + 1


def test_240_value_questions_of_the_embedded_data_hold_80_of_each_kind():
    kinds = ["chart"] * 200 + ["table"] * 120 + ["receipt"] * 120
    chosen = spread(numbered(kinds), 240)
    assert Counter(item.task for item in chosen) == {"chart": 80, "table": 80, "receipt": 80}


def test_a_look_at_64_dev_questions_of_the_embedded_data_sees_every_kind():
    kinds = ["count"] * 40 + ["find"] * 100 + ["ground"] * 40
    chosen = spread(numbered(kinds), 64)
    assert Counter(item.task for item in chosen) == {"count": 21, "find": 22, "ground": 21}
    # what is handed to a training is as many as it looks at, so that it takes no part of it
    assert spread(chosen, 64) == chosen


def test_no_stage_takes_the_first_ones():
    files = [*(TASKS / "stages").glob("*.py"), *(TASKS / "judging").glob("*.py"),
             *(TASKS / "synthesis").glob("*.py"), *(TASKS / "reproduction").glob("*.py"),
             TASKS / "training" / "judge.py"]  # fmt: skip
    assert len(files) > 12
    cut = re.compile(r"\[\s*:\s*(s\.|settings\.|per_|[A-Z]{3}|number)")
    assert [file.name for file in files if cut.search(file.read_text())] == []


@given(KINDS, st.integers(1, 64))
def test_what_is_held_out_is_not_learnt_from_and_something_always_is(kinds, most):
    items = numbered(kinds)
    learnt, held = hold_out(items, most)
    assert sorted([*learnt, *held], key=lambda x: x.place) == items
    assert len(held) <= most and bool(learnt) == bool(items)
    assert bool(held) == (len(items) > 1)


def test_a_setting_that_cannot_be_met_is_said(capsys):
    assert fewer("shots.test", 320, 192) == {"shots.test": [320, 192]}
    assert "shots.test is 320, but there are only 192" in capsys.readouterr().out
    assert fewer("shots.test", 192, 192) == {} and capsys.readouterr().out == ""
    found = fewer_of_each("benchmarks.per_task", 2, numbered("aab"))
    assert found == {"benchmarks.per_task (b)": [2, 1]}
    assert "fewer: b 1" in capsys.readouterr().out
