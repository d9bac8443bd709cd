"""Verdicts are read strictly: what cannot be read is None, never a win for the first answer."""

import pytest

from tasks.judging.verdicts import pair_winner, point_score


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("A", "A"),
        (" b. ", "B"),
        ("Overall Judgment: Answer 1 is better.", "A"),
        ("Overall Judgment: Answer 2 is better than Answer 1.", "B"),
        ("Overall Judgment:\n**Answer 2 is better.**", "B"),
        ("overall judgement: answer 1 is slightly better", "A"),
        ("Answer 1 is better. Overall Judgment: Answer 2 is better.", "B"),  # the last one counts
        ("Image 2 is better than Image 1", "B"),
        ("Both images are equally good", None),
        ("Answer 1 is better and Answer 2 is better", None),  # names both
        ("", None),
        ("I cannot tell.", None),
        ("Answer 3 is better", None),
    ],
)
def test_the_winner_of_a_verdict(text, winner):
    assert pair_winner(text) == winner


@pytest.mark.parametrize(
    ("text", "low", "high", "score"),
    [
        ("Final Score: 85", 0, 100, 85.0),
        ("Final Score: 4.5", 1, 5, 4.5),  # decimals are kept
        ("Final Score: 10", 1, 10, 10.0),  # a number, not a string: 10 is above 9
        ("**7**", 1, 10, 7.0),
        ("3 objects. Final Score: 2", 1, 10, 2.0),
        ("Final Score: -5", 1, 10, None),  # out of range
        ("Final Score: 11", 1, 10, None),
        ("good", 1, 10, None),
        ("", 1, 10, None),
    ],
)
def test_the_score_of_a_verdict(text, low, high, score):
    assert point_score(text, low, high) == score
