"""Preference pairs against the vectors of UnifiedReward's specification, section 10."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.judging.candidates import Candidates
from tasks.judging.preferences import NO_MARGIN, NO_PAIR, NO_SCORE, build_preferences, report, sift

VECTORS = json.loads((Path(__file__).parent / "vectors" / "point_sift.json").read_text())
SCORES = st.lists(st.none() | st.integers(1, 10).map(float), min_size=1, max_size=5)


@pytest.mark.parametrize(("given", "expected"), [row[:2] for row in VECTORS["rows"]])
def test_the_best_winner_meets_the_worst_loser(given, expected):
    won, lost = given["chosen_scores"], given["rejected_scores"]
    scores = dict(enumerate([*won, *lost]))
    found = sift(range(len(won)), range(len(won), len(scores)), scores)
    if expected["keep"]:
        assert found == (expected["chosen_index"], len(won) + expected["rejected_index"])
    else:
        assert found == NO_MARGIN


def test_scores_are_numbers_and_one_that_is_not_read_drops_its_candidate_alone():
    assert sift([0, 1], [2, 3], {0: 9.0, 1: 10.0, 2: 5.0, 3: 10.0}) == (1, 2)
    assert sift([0, 1], [2, 3], {0: None, 1: 7.0, 2: None, 3: 3.0}) == (1, 3)
    assert sift([0], [1], {0: None, 1: 3.0}) == NO_SCORE


def test_equal_scores_are_told_apart_by_the_surety_of_the_pair_verdict():
    scores, surety = {0: 7.0, 1: 7.0, 2: 4.0, 3: 4.0}, {0: 0.1, 1: 0.4, 2: 0.1, 3: 0.4}
    assert sift([0, 1], [2, 3], scores, surety) == (1, 3) and sift([0, 1], [2, 3], scores) == (0, 2)


@given(SCORES, SCORES)
def test_nothing_is_kept_that_does_not_score_higher(won, lost):
    scores = dict(enumerate([*won, *lost]))
    found = sift(range(len(won)), range(len(won), len(scores)), scores)
    read = [s for s in won if s is not None], [s for s in lost if s is not None]
    if isinstance(found, str):
        assert not all(read) or max(read[0]) <= min(read[1])
    else:
        assert scores[found[0]] == max(read[0]) > min(read[1]) == scores[found[1]]


def group(name: str, *items: str, lost: str = "") -> Candidates:
    return Candidates(name, "Describe the image.", items, (), lost=lost)


def test_random_pairs_are_the_same_every_time_and_every_prompt_without_one_has_its_reason():
    groups = [group(str(i), "a", "b", "b", "c") for i in range(40)]
    groups += [group("alike", "a", "a"), group("none", lost="too long"), group("one", "a", "")]
    built, again = (build_preferences(None, groups, "random", seed=1) for _ in range(2))
    places = [(p.chosen, p.rejected) for p in built.kept]
    assert places == [(p.chosen, p.rejected) for p in again.kept] and len(set(places)) > 3
    assert all(p.items[0] != p.items[1] for p in built.kept)
    assert {g.id: reason for g, reason in built.dropped} == {
        "alike": NO_PAIR, "none": "too long", "one": NO_PAIR
    }  # fmt: skip
    assert report(built)["prompts"] == 43 and report(built)["unanswered"] == 1
