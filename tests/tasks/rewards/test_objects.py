"""Objects that texts name: words, synonyms, plurals, and the two rates of CHAIR with recall."""

import random

import pytest

from tasks.rewards.objects import (
    Named,
    chair,
    known_objects,
    mentions,
    says_only_what_is_there,
    synonyms,
)
from tasks.running.errors import UserError

LISTED = "person, man, woman, child\nhot dog\ndog, puppy\nbaseball bat\nmouse\nsheep\nwine glass"
NAMES = synonyms(LISTED)


@pytest.mark.parametrize(
    "text, named",
    [
        ("Two men, a woman and children.", ["person"] * 3),  # "men" is found by its singular
        ("A HOT DOG; hot-dog? hot dogs!", ["hot dog"] * 2),  # a hyphen joins another word
        ("dogs, puppies and a hotdog", ["dog", "dog"]),
        ("A baseball; a bat; baseball bats", ["baseball bat"]),
        ("Mice and sheep, two wine glasses", ["mouse", "sheep", "wine glass"]),
        ("", []),
        ("dog" * 9, []),
    ],
)
def test_the_longest_of_several_words_counts_and_plurals_do(text, named):
    assert mentions(text, NAMES) == named


def test_a_word_stands_for_one_category():
    assert synonyms("cat,  Kitten \n\n") == {"cat": "cat", "kitten": "cat"}
    with pytest.raises(UserError, match="puppy in two lines"):
        synonyms("dog, puppy\ncat, puppy")


def test_what_a_picture_shows_is_known_or_not():
    assert known_objects({}) is None and known_objects({"objects": []}) is None
    assert known_objects({"objects": ["cat", "dog"]}) == (
        ["cat", "dog"], {"cat": "cat", "dog": "dog"},
    )  # fmt: skip
    there, names = known_objects({"objects": ["cat"], "names": "cat, kitten\ndog"})
    assert Named.of("A kitten and dogs", there, names).absent == ["dog"]


def test_rates_are_those_of_counting_one_by_one():
    rng = random.Random(0)
    names = list(set(NAMES.values()))
    for _ in range(200):
        captions = [
            Named(tuple(rng.choices(names, k=rng.randint(0, 6))),
                  frozenset(rng.sample(names, rng.randint(0, 4))))
            for _ in range(rng.randint(1, 5))
        ]  # fmt: skip
        found = chair(captions)
        every = [(name in one.there) for one in captions for name in one.mentions]
        assert found["chair_i"] == pytest.approx(every.count(False) / len(every) if every else 0)
        assert found["chair_s"] == sum(len(one.absent) > 0 for one in captions) / len(captions)
        recalled = [name in one.mentions for one in captions for name in one.there]
        assert found["recall"] == pytest.approx(sum(recalled) / len(recalled) if recalled else 1)


def test_the_reward_is_f1_by_definition_and_none_where_nobody_knows():
    def reward(text: str, there: list[str]) -> float | None:
        [value] = says_only_what_is_there([text], [there], [LISTED])
        return value

    # three mentions, two there; two of three are named: 2 * (2/3) * (2/3) / (4/3)
    assert reward("A dog, a mouse, a child", ["dog", "mouse", "sheep"]) == pytest.approx(2 / 3)
    assert reward("A dog and a mouse", ["dog", "mouse"]) == 1.0
    assert reward("", ["dog"]) == reward("A sheep", ["dog"]) == reward("Nothing", ["dog"]) == 0.0
    assert reward("A dog", []) is None
    # to name one thing again and again does not pay, once it is named
    assert reward("A dog, a dog, a dog, a mouse", ["dog"]) < 1.0
