"""Format and content rewards: tables of good, bad and adversarial answers."""

import pytest

from tasks.rewards.text import exact_final, same_answer, thinks_then_answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a</think><answer>b</answer>", 1.0),
        ("<think>a</think>\n <answer>b\nc</answer>", 1.0),
        (" <think>a</think><answer>b</answer>", 0.0),  # leading blank
        ("<think></think><answer></answer>", 1.0),
        ("<think>a<answer>b</answer>", 0.0),  # never closed
        ("<think>a</think><answer>b</answer><answer>c</answer>", 0.0),  # an answer too many
        ("<think>a</think></think><answer>b</answer>", 0.0),  # a tag twice
        ("<THINK>a</THINK><answer>b</answer>", 0.0),
        ("", 0.0),
    ],
)
def test_the_layout_is_one_thought_and_one_answer(text, expected):
    assert thinks_then_answers([text]) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<answer>Boeing 737-800</answer>", 1.0),
        ("<answer>\nboeing_737-800.\n</answer>", 1.0),
        ("<answer></answer>", 0.0),  # containment paid the empty answer
        ("Boeing 737-800", 0.0),  # no tags
        ("<answer>Boeing</answer>", 0.0),  # a part of the name
        ("<answer>Boeing 737-800, Airbus A320</answer>", 0.0),  # listing classes
        ("<answer>b</answer><answer>Boeing 737-800</answer>", 0.0),  # two answers
    ],
)
def test_only_the_whole_name_in_the_one_answer_is_right(text, expected):
    assert exact_final([text], final=["Boeing 737-800"]) == [expected]


def test_a_missing_reference_is_none_and_not_wrong():
    assert exact_final(["<answer>x</answer>"], final=[""]) == [None]


def test_two_empty_answers_are_not_equal():
    assert not same_answer("", "")
