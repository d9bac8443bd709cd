"""Rejection sampling keeps right traces of both orders alike, and says why it drops the others."""

import random
from collections import Counter

import pytest

from tasks.asking.conversation import Answer
from tasks.judging.rejection import sift
from tasks.judging.thinking import Thought, thought_of
from tasks.judging.traces import Row, consistency, parse_trace, write_trace
from tasks.records.judgements import OTHER, Judgement

TASK = "image_generation"


def pair(number: int, winner: str = "A", source: str = "s") -> Judgement:
    media = (bytes([number]), b"other")
    return Judgement(str(number), "Q", media, task=TASK, winner=winner, source=source)


def says(winner: str, turned: bool, agrees: bool = True, cut: bool = False) -> Thought:
    """What a judge writes that finds `winner` (of the pair's own order) better."""
    shown = OTHER[winner] if turned else winner
    higher = (9, 2) if (shown == "A") == agrees else (2, 9)
    text = write_trace(TASK, [Row("Colors", higher)], shown)
    return thought_of(Answer(text[:-9] if cut else text, 9, ended="end"), TASK, turned)


def test_at_most_one_trace_of_a_pair_and_order_and_all_are_right_and_agree():
    rng = random.Random(0)
    pairs = [pair(n, rng.choice("AB"), rng.choice("st")) for n in range(120)]
    thoughts = [
        tuple(
            [
                says(p.winner if rng.random() < 0.7 else OTHER[p.winner], turned,
                     rng.random() < 0.8, rng.random() < 0.1)
                for _ in range(2)
            ]
            for turned in (False, True)
        )
        for p in pairs
    ]  # fmt: skip
    found = sift(pairs, thoughts, seed=1)
    assert found.kept and found.hard and len(found.right) + len(found.hard) == len(pairs)
    assert not {p.id for p in found.right} & {p.id for p in found.hard}
    each = Counter((one.shown.id, one.shown.media) for one in found.kept)
    assert max(each.values()) == 1
    by_id = {p.id: p for p in found.right}
    for one in found.kept:
        trace = parse_trace(one.text, TASK)
        assert trace.winner == one.shown.winner and consistency(trace)
        assert one.shown in (by_id[one.shown.id], by_id[one.shown.id].swapped())
    places = Counter(one.shown.winner for one in found.kept)
    assert places["A"] == places["B"]
    assert sum(found.dropped.values()) + len(found.kept) == 4 * len(pairs)
    assert found.dropped.keys() >= {
        "another winner", "contradicts itself", "cut off",
        "of a pair that is wrong in the majority",
    }  # fmt: skip
    assert [one.text for one in sift(pairs, thoughts, seed=1).kept] == [o.text for o in found.kept]


def test_ties_and_unreadable_pairs_are_hard():
    always_first = ([says("A", False)], [says("B", True)])
    unreadable = ([says("A", False, cut=True)], [says("A", True, cut=True)])
    found = sift([pair(0), pair(1)], [always_first, unreadable])
    assert [p.id for p in found.hard] == ["0", "1"] and not found.kept


def test_a_cap_holds_for_each_source():
    pairs = [pair(n, "AB"[n % 2], "big" if n < 16 else "small") for n in range(20)]
    right = [([says(p.winner, False)], [says(p.winner, True)]) for p in pairs]
    found = sift(pairs, right, per_source=6)
    assert all(n <= 6 for n in Counter(one.shown.source for one in found.kept).values())
    assert found.dropped["beyond the most of a source"] == 2 * 16 - 6 + 2 * 4 - 6


def test_contradictions_are_kept_where_nobody_minds():
    wrong_sums = ([says("A", False, agrees=False)], [says("A", True, agrees=False)])
    assert not sift([pair(0)], [wrong_sums]).kept
    assert len(sift([pair(0)], [wrong_sums], agreeing=False).kept) == 2


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 0), (0.15, 7), (0.5, 10)])
def test_some_right_pairs_are_reinforced_against_wrong_labels(share, wanted):
    pairs = [pair(n) for n in range(50)]
    thoughts = [
        ([says("A" if n < 10 else "B", False)], [says("A" if n < 10 else "B", True)])
        for n in range(50)
    ]
    found = sift(pairs, thoughts)
    assert (len(found.right), len(found.hard)) == (10, 40)
    chosen = found.to_reinforce(share, seed=0)
    assert len(chosen) == 40 + wanted and chosen[:40] == found.hard
