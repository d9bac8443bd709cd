"""VQA accuracy is what its authors define, on words as they process them."""

import random
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rewards.vqa import agreed_answer, vqa_accuracy, vqa_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Red, car.", "red car"),
        ("Two", "2"),
        ("none", "0"),
        ("dont", "don't"),
        ("don't", "don't"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("U.S.A.", "usa"),
        ("yes!", "yes"),
        ("black/white", "black white"),
        ("t-shirt", "t shirt"),
        ("a\tman\n", "man"),
        ("7 up ?", "7 up"),
        ("theyre", "they're"),
        ("an apple a day", "apple day"),
        ("", ""),
    ],
)
def test_words_are_those_that_the_authors_compare(text, words):
    assert vqa_words(text) == words


def by_definition(said: str, answers: list[str]) -> float:
    """The mean over all sets of nine of ten people."""
    sets = combinations(answers, len(answers) - 1)
    return fmean(min(1.0, [vqa_words(a) for a in some].count(vqa_words(said)) / 3) for some in sets)


def test_accuracy_is_the_mean_over_all_sets_of_nine_people():
    rng = random.Random(0)
    for _ in range(500):
        answers = rng.choices(["red", "Red.", "a red", "blue", "dark red", "2", "two"], k=10)
        said = rng.choice([*answers, "green"])
        assert vqa_accuracy(said, answers) == pytest.approx(by_definition(said, answers))
    counts = [vqa_accuracy("x", ["x"] * n + ["y"] * (10 - n)) for n in range(5)]
    assert counts == pytest.approx([0, 0.3, 0.6, 0.9, 1.0])


def test_of_fewer_people_fewer_have_to_agree():
    assert vqa_accuracy("x", ["x"]) == vqa_accuracy("x", ["x", "x"]) == 1.0
    assert vqa_accuracy("x", ["x", "y"]) == 0.5 and vqa_accuracy("x", []) == 0.0
    assert agreed_answer(["<answer>x</answer>", "y"], [["x"], []]) == [1.0, None]


@given(st.text(max_size=300))
def test_any_text_has_words_that_stay_as_they_are_when_processed_again(text):
    words = vqa_words(text)
    assert vqa_accuracy(text, [text] * 10) == 1.0
    assert len(words) <= 2 * len(text) + 2
