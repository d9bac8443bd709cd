"""A verdict's winner is the one that it names, whatever the letters' probabilities are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.conversation import Answer
from tasks.judging.judge import _verdict, share_of_a
from tasks.judging.verdicts import pair_winner

WORDS = ("Answer 1 is better", "Answer 2 is better.", "A", "B", " b.", "(1)", "2", "neither", "",
         "Overall Judgment: **Answer 1 is better**.")  # fmt: skip
LOGS = st.tuples(st.floats(-800, 0), st.floats(-800, 0))


def said(text, a=-1.0, b=-1.0):
    return Answer(text, 1, (a, b))


def test_a_verdict_in_words_is_not_that_of_the_letters():
    # the letters say B in both orders; the words say the first in one and the second in the other
    verdict = _verdict(said("Answer 1 is better", -9, -1), said("Answer 2 is better", -9, -1))
    assert (verdict.winner, verdict.preference, verdict.consistent) == ("A", 1.0, True)


@given(st.sampled_from(WORDS), st.sampled_from(WORDS), LOGS, LOGS)
def test_a_consistent_verdict_names_the_winner_that_its_texts_name(first, second, one, other):
    verdict = _verdict(said(first, *one), said(second, *other))
    sides = pair_winner(first), pair_winner(second)
    assert verdict.readable == (None not in sides)
    assert 0 <= verdict.preference <= 1
    if not verdict.readable:
        assert verdict.winner is None and not verdict.consistent
    elif verdict.consistent:
        assert sides[0] != sides[1]
        # of equally likely letters the surer half decides nothing
        assert verdict.winner in (sides[0], None)
        assert verdict.winner or verdict.preference == 0.5
    else:
        assert sides[0] == sides[1]


@pytest.mark.parametrize(
    ("text", "logs", "share"),
    [
        ("A", (math.log(0.8), math.log(0.2)), 0.8),
        (" B ", (math.log(0.3), math.log(0.7)), 0.3),
        ("A", (math.log(0.2), math.log(0.8)), 1.0),  # another token than the one looked at
        ("a", (math.log(0.2), math.log(0.8)), 1.0),
        ("2", (math.log(0.9), math.log(0.1)), 0.0),
        ("Answer 2 is better", (math.log(0.9), math.log(0.1)), 0.0),
        ("A", (), 1.0),
        ("A", (0.0, -800.0), 1.0),
    ],
)
def test_probabilities_count_where_the_verdict_is_the_letter(text, logs, share):
    winner = pair_winner(text)
    assert share_of_a(Answer(text, 1, logs), winner) == pytest.approx(share)
