"""Names decide the split of a record, and where they are silent a lot that never changes."""

from collections import Counter

import pytest

from tasks.reading.splits import FEWEST, Place, Splits, drawn, key_of, lot, split_for, split_in


def test_lots_are_the_same_on_every_machine():
    assert [lot("split", str(id)) % 10 for id in range(6)] == [7, 6, 0, 0, 0, 5]


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("instances_train2017", "train"), ("instances_val2014", "dev"), ("lvis_v1_val", "dev"),
        ("instances_minival2014", "dev"), ("trainval", "train"), ("Test-B", "test"),
        ("dev", "dev"), ("validation", "dev"), ("boxes", ""), ("constrained", ""), ("latest", ""),
        ("values", ""), ("training_set", "train"), ("train_and_test", ""), ("test-dev2017", "test"),
    ],
)  # fmt: skip
def test_the_name_of_a_file_says_its_split(stem, split):
    assert split_in(stem) == split


@pytest.mark.parametrize(
    ("said", "parts", "shares"),
    [
        ("train", {"train", "dev"}, {"train": 100}),
        ("train", {"train", "test"}, {"train": 100}),
        ("dev", {"train", "dev", "test"}, {"dev": 100}),
        ("dev", {"train", "dev"}, {"dev": 50, "test": 50}),
        ("dev", {"dev"}, {"dev": 50, "test": 50}),
        ("train", {"train"}, {"train": 80, "dev": 10, "test": 10}),
        ("", {""}, {"train": 80, "dev": 10, "test": 10}),
        ("", {"", "test"}, {"train": 100}),
        ("else", {"train", "else"}, {"else": 100}),
    ],
)
def test_a_policy_is_always_measured_on_pictures_it_did_not_see(said, parts, shares):
    count = Counter(split_for(said, parts, f"{i}.jpg") for i in range(2000))
    assert {split: round(n / 20) for split, n in count.items()} == pytest.approx(shares, abs=3)


def places(number: int, split: str = "train", labels: str = "") -> list[Place]:
    label = lambda i: labels[i % len(labels)] if labels else ""  # noqa: E731
    return [Place(key_of([bytes([i])]), split, label(i)) for i in range(number)]


def test_lots_that_are_drawn_late_are_those_that_are_drawn_early():
    late = Splits({"train"}, late=True)
    early = [split_for("train", {"train"}, place.key) for place in places(200)]
    assert drawn(places(200), late) == early
    assert drawn(places(250), late)[:200] == early  # whatever is added


@pytest.mark.parametrize("number", range(4, 30))
@pytest.mark.parametrize("labels", ["", "ab"])
def test_small_data_sets_have_enough_to_measure_on(number, labels):
    held = Counter(drawn(places(number, labels=labels), Splits({""}, late=True)))
    assert held["train"] and all(held[split] >= n for split, n in FEWEST.items()) or number < 5


def test_a_part_that_says_test_is_all_that_is_tested():
    mixed = places(30) + [Place("t", "test", "")]
    splits = Splits({"train", "test"}, late=True)
    assert drawn(mixed, splits) == ["train"] * 30 + ["test"]


def test_dev_gives_before_train_does():
    mixed = [Place(f"d{i}", "dev", "") for i in range(4)] + places(4)
    held = drawn(mixed, Splits({"train", "dev"}, late=True))
    assert held[4:] == ["train"] * 4 and set(held[:4]) == {"dev", "test"}
    assert held.count("test") >= 2


@pytest.mark.parametrize("number", [0, 1, 3])
def test_nothing_is_drawn_from_too_few_pictures(number):
    assert drawn(places(number), Splits({""}, late=True)) == ["train"] * number


def test_copies_and_all_questions_about_a_picture_go_together():
    asked = [place for place in places(20) for _ in range(3)]
    held = drawn(asked, Splits({""}, late=True))
    assert all(len(set(held[i : i + 3])) == 1 for i in range(0, 60, 3))
