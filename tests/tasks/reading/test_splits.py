"""Names decide the split of a record, and where they are silent a lot that never changes."""

from collections import Counter

import pytest

from tasks.reading.splits import lot, split_for, split_in


def test_lots_are_the_same_on_every_machine():
    assert [lot("split", str(id)) % 10 for id in range(6)] == [7, 6, 0, 0, 0, 5]


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("instances_train2017", "train"), ("instances_val2014", "dev"), ("lvis_v1_val", "dev"),
        ("instances_minival2014", "dev"), ("trainval", "train"), ("Test-B", "test"),
        ("dev", "dev"), ("validation", "dev"), ("boxes", ""), ("constrained", ""), ("latest", ""),
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
