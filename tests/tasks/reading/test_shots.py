"""The few examples: k of each class, drawn by a seed, and classes that are kept for the test."""

from collections import Counter

import pytest

from tasks.reading.shots import (
    Pool,
    base_and_novel,
    choose_shots,
    classes_of,
    k_shots,
    spread_over_classes,
)
from tasks.records.rows import Sample
from tasks.running.errors import UserError

CLASSES = ["ant", "bee", "cat", "dog", "elk"]


def sample(label: str, number: int, split: str = "train", task: str = "detection", present=True):
    return Sample(
        id=f"{split}-{task}-{label}-{number}-{present}", task=task, split=split, prompt="?",
        metric="tagged_detections", label=label, corners=[[0, 0, 1, 1]] if present else [],
        size=(9, 9),
    )  # fmt: skip


def samples(split: str = "train", each: int = 6, **more) -> list[Sample]:
    return [sample(label, i, split, **more) for i in range(each) for label in CLASSES]


def test_every_class_gives_k_examples():
    drawn = k_shots(samples(), 4, seed=0)
    assert Counter(s.label for s in drawn.train) == dict.fromkeys(CLASSES, 4)
    assert len({s.id for s in drawn.train}) == 20 and drawn.short == {}


def test_a_seed_always_draws_the_same_and_another_draws_others():
    first, again, other = (
        [s.id for s in k_shots(samples(), 2, seed=seed).train] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_examples_of_a_class_do_not_depend_on_the_other_classes():
    alone = k_shots(samples(), 2, seed=3, classes=["cat"]).train
    among = [s for s in k_shots(samples(), 2, seed=3).train if s.label == "cat"]
    assert alone == among


def test_a_class_with_too_few_examples_gives_all_and_is_reported():
    drawn = k_shots([*samples(each=3), sample("fox", 0)], 3, seed=0)
    assert drawn.short == {"fox": 1} and sum(s.label == "fox" for s in drawn.train) == 1


def test_questions_about_what_is_absent_come_beside_the_examples():
    absent = samples(each=4, present=False)
    drawn = k_shots(samples() + absent, 2, seed=0).train
    assert sum(bool(s.corners) for s in drawn) == 10 and sum(not s.corners for s in drawn) == 5


def test_a_class_without_examples_is_named():
    with pytest.raises(UserError, match="gnu"):
        k_shots(samples(), 2, seed=0, classes=["ant", "gnu"])


def test_base_and_novel_classes_share_nothing_and_leave_nothing_out():
    base, novel = base_and_novel(CLASSES, (), base=2, seed=5)
    assert len(base) == 2 and sorted(base + novel) == CLASSES
    assert base_and_novel(CLASSES, ["cat"], base=2, seed=5) == (
        ["ant", "bee", "dog", "elk"],
        ["cat"],
    )


@pytest.mark.parametrize(
    ("novel", "base"), [(["yak"], 2), (CLASSES, 2), ((), 5)], ids=["unknown", "all", "none left"]
)
def test_classes_that_cannot_be_split_are_refused(novel, base):
    with pytest.raises(UserError):
        base_and_novel(CLASSES, novel, base, seed=0)


def everything() -> list[Sample]:
    known = [sample("known thing", i, "test", task="detection_known") for i in range(4)]
    return samples() + samples("dev") + samples("test") + known


def test_few_shot_tests_the_classes_it_learnt_and_what_it_may_forget():
    chosen = choose_shots(
        everything(), per_class=2, dev=5, test=10, base_classes=0, novel=(), seed=0
    )
    by_part = Counter((s.split, s.details.get("group", "")) for s in chosen.samples)
    assert by_part == {
        ("train", ""): 10,
        ("dev", ""): 5,
        ("test", "tested"): 10,
        ("test", "other"): 4,
    }
    assert chosen.facts["classes"] == chosen.facts["classes_tested"] == 5


def test_open_vocabulary_never_shows_the_classes_that_it_tests():
    chosen = choose_shots(
        everything(), per_class=3, dev=8, test=100, base_classes=2, novel=(), seed=4
    )
    shown = {s.label for s in chosen.samples if s.split in ("train", "dev")}
    tested = {s.label for s in chosen.samples if s.details.get("group") == "tested"}
    assert len(shown) == 2 and not shown & tested and shown | tested == set(CLASSES)
    other = {s.label for s in chosen.samples if s.details.get("group") == "other"}
    assert other == shown | {"known thing"}


def test_questions_are_spread_over_the_classes():
    spread = spread_over_classes(samples("test"), 7)
    assert max(Counter(s.label for s in spread).values()) == 2 and len(spread) == 7


def test_a_pool_holds_enough_of_each_class_and_no_other_kind_of_question():
    pool = Pool("tagged_detections", per_class=2)
    kept = [s for s in samples() + samples("dev") if pool(s)]
    assert Counter((s.split, s.label) for s in kept) == {
        (split, label): 2 for split in ("train", "dev") for label in CLASSES
    }
    assert not pool(sample("ant", 9).model_copy(update={"metric": "box"}))


def test_an_absent_class_is_no_class_to_learn():
    assert classes_of([sample("ant", 0), sample("bee", 0, present=False)]) == ["ant"]
