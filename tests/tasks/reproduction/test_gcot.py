"""What the arms of GCoT's experiment learn from: slips, lessons, and boxes of every sort."""

import re
from pathlib import Path

import pytest

from tasks.records.boxes import Box, boxes_from, iou
from tasks.records.rows import SAMPLES, sample_row, write_shards
from tasks.reproduction.gcot_arms import ARMS, EVERYWHERE, PLAIN, UNTRAINED, sort_of
from tasks.reproduction.gcot_lessons import (
    MOST,
    TASKS,
    derived,
    examples,
    held_out_lessons,
    kept_by_kind,
    lessons_of,
    true_boxes,
    turned,
)
from tasks.reproduction.slips import slipped
from tasks.rewards.values import number_in, same_value
from tasks.synthesis.grounding.bank import merged
from tasks.synthesis.grounding.chains import judged
from tasks.world.grounding import make_sample

FAMILY = "price_list"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder: Path = tmp_path_factory.mktemp("grounding_world")
    samples = [
        make_sample(0, split, "price list", kind, number)
        for split, most in (("train", 60), ("dev", 4), ("test", 4)) for kind in TASKS
        for number in range(most)
    ]  # fmt: skip
    write_shards(map(sample_row, samples), folder, SAMPLES)
    return str(folder)


def test_a_slip_keeps_the_answer_and_says_what_is_wrong(data):
    kinds, facts, wrong = set(), 0, 0
    for seed in range(5):
        for sample in examples(data, FAMILY, 0, 60):
            chain, slips = slipped(sample, 0.3, seed)
            facts, wrong = facts + 2, wrong + len(slips)
            assert judged(sample, chain).dropped == ""  # no check of answers sees it
            assert bool(slips) == (chain != sample.details["cot"])
            written = {text for text, _ in sample.details["texts"]}
            for slip in slips:
                kinds.add(slip.kind)
                words = re.findall(r"\w+", chain.split("<answer>")[0])
                assert slip.said in words
                assert (slip.said in written) == (slip.kind != "digit")
                assert (number_in(slip.said) is None) == (slip.kind == "label")
            assert slipped(sample, 0.3, seed) == (chain, slips)
    assert kinds == {"digit", "cell", "label"} and 0.24 < wrong / facts < 0.36


def test_lessons_are_blind_nested_and_others_for_every_seed(data):
    few, many = (lessons_of(data, FAMILY, 0, n)[0] for n in (8, 64))
    assert [x.sample.id for x in many[:8]] == [x.sample.id for x in few]
    assert all(not x.sample.details and not x.sample.corners for x in many)
    other = {x.sample.id for x in lessons_of(data, FAMILY, 1, MOST)[0]}
    assert not other & {x.sample.id for x in many}
    assert {x.sample.task for x in few} == {f"{FAMILY}_{kind}" for kind in TASKS}
    held_out = held_out_lessons(data, FAMILY, 6)
    assert len(held_out) == 6 and all(x.sample.split == "dev" for x in held_out)
    assert len(derived(data, "test", FAMILY)) == 12


def test_true_boxes_point_at_their_texts_and_turned_ones_at_others(data):
    samples = examples(data, FAMILY, 0, 16)
    lessons, _ = lessons_of(data, FAMILY, 0, 16, slips=0.0)
    bank = true_boxes(lessons, samples)
    texts = {sample.id: sample.details["texts"] for sample in samples}
    for (owner, target), entry in bank.items():
        there = [at for text, at in texts[owner] if same_value(text, target)]
        assert max(iou(box, entry.box) for box in boxes_from(there, (96, 96))) > 0.99
    targets = {(x.sample.id, target.text) for x in lessons for target in x.targets}
    assert targets == bank.keys()  # every true fact stands in its picture
    others = turned(bank)
    assert others.keys() == bank.keys()
    assert all(others[key].box != bank[key].box for key in bank)
    assert sorted(str(e.box) for e in others.values()) == sorted(str(e.box) for e in bank.values())


def test_what_keeps_a_box_is_counted_by_kind_of_slip(data):
    lessons, slips = lessons_of(data, FAMILY, 0, 64)
    nothing = kept_by_kind(lessons, slips, {})
    assert nothing.keys() >= {"true", "digit", "cell", "label"}
    assert all(kept == 0 for kept, _ in nothing.values())
    everything = {
        (x.sample.id, t.text): Box(0, 0, 1, 1, (9, 9)) for x in lessons for t in x.targets
    }
    assert all(kept == n for kept, n in kept_by_kind(lessons, slips, merged({}, everything, 0))
               .values())  # fmt: skip
    assert sum(n for _, n in nothing.values()) == sum(len(x.facts[0]) for x in lessons)


def test_every_arm_learns_at_a_rate_that_the_pilot_chose():
    assert {sort_of(arm) for arm in ARMS} == set(EVERYWHERE) <= set(ARMS)
    assert not set(UNTRAINED) & set(ARMS) and set(PLAIN) - set(UNTRAINED) < set(ARMS)
