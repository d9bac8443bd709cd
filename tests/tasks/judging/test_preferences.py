"""Sifting against the vectors of the UnifiedReward specification, section 10."""

import pytest

from tasks.judging.preferences import Ranked, sift


@pytest.mark.parametrize(
    ("won", "lost", "kept"),
    [
        ([80, 90, 70, 90, 60], [50, 40, 40, 60, 55], (1, 1)),
        ([5, 5, 5, 5, 5], [5, 5, 5, 5, 5], None),  # equal scores are dropped
        ([60], [60], None),
        ([61], [60], (0, 0)),
        ([9, 10], [5, 10], (1, 0)),  # numbers, not strings
        ([None, 7], [None, 3], (1, 1)),  # an unreadable score drops its answer only
        ([None], [3], None),
        ([], [3], None),
    ],
)
def test_the_best_winner_meets_the_worst_loser(won, lost, kept):
    winners = [Ranked(str(i), 0.1, value) for i, value in enumerate(won)]
    losers = [Ranked(str(i), 0.1, value) for i, value in enumerate(lost)]
    pair = sift(winners, losers)
    assert (pair and (int(pair[0].text), int(pair[1].text))) == kept


def test_equal_scores_are_told_apart_by_the_surety_of_the_pair_verdict():
    won = [Ranked("unsure", 0.1, 7), Ranked("sure", 0.4, 7)]
    lost = [Ranked("narrow", 0.1, 4), Ranked("clear", 0.4, 4)]
    best, worst = sift(won, lost)
    assert (best.text, worst.text) == ("sure", "clear")
