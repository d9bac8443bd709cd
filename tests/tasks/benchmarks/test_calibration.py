"""Calibration of detections against a count by hand."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.benchmarks.average_precision import Labelled
from tasks.benchmarks.calibration import calibration_error
from tasks.records.boxes import Box

SIZE = (100, 100)


def at(x: int, confidence: float = 1.0, image: str = "a", label: str = "cat") -> Labelled:
    return Labelled(image, label, Box(x, 0, x + 10, 10, SIZE), confidence)


def error_by_hand(outcomes: list[tuple[int, bool]]) -> float:
    """Count bins in whole percents, where no rounding can move a confidence over a bound."""
    bins = defaultdict(list)
    for percent, right in outcomes:
        bins[percent // 10].append((percent / 100, right))
    gaps = [abs(np.sum([sure - right for sure, right in rows])) for rows in bins.values()]
    return sum(gaps) / len(outcomes)


def answered(outcomes: list[tuple[int, bool]]) -> tuple[list[Labelled], list[Labelled]]:
    """Put each outcome into a picture of its own."""
    true = [at(0, image=str(i)) for i in range(len(outcomes))]
    predicted = [
        at(0 if right else 50, percent / 100, image=str(i))
        for i, (percent, right) in enumerate(outcomes)
    ]
    return true, predicted


def test_no_predictions_claim_nothing():
    assert calibration_error([at(0)], []) is None


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([at(0, 1.0)], 0.0),  # sure and right
        ([at(50, 1.0)], 1.0),  # sure and wrong
        ([at(50, 0.0)], 0.0),  # doubtful and wrong
        ([at(0, 0.75)], 0.25),
        ([at(0, 0.9), at(0, 0.8)], (0.1 + 0.8) / 2),  # the same object twice: one is false
        ([at(0, 0.9, label="dog")], 0.9),  # the right place, another class
        ([at(0, 0.9, image="b")], 0.9),  # the right place, another picture
    ],
)
def test_a_prediction_is_right_if_it_matches_in_its_picture_and_class(predicted, expected):
    assert calibration_error([at(0)], predicted) == pytest.approx(expected, abs=1e-8)


def test_an_overlap_of_exactly_one_half_is_wrong():
    half = Labelled("a", "cat", Box(0, 0, 10, 5, SIZE), 0.9)
    assert calibration_error([at(0)], [half]) == pytest.approx(0.9, abs=1e-8)


@pytest.mark.parametrize("percent", range(0, 100, 10))
def test_a_stated_tenth_lies_in_the_bin_above_it(percent):
    """The next whole percent shares the bin, so that one error makes up for the other."""
    outcomes = [(percent, True), (percent + 1, False)]
    assert calibration_error(*answered(outcomes)) == pytest.approx(
        abs(2 * percent + 1 - 100) / 200, abs=1e-8
    )


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=60))
def test_the_error_is_that_of_a_count_by_hand_and_between_zero_and_one(outcomes):
    found = calibration_error(*answered(outcomes))
    assert 0 <= found <= 1
    assert found == pytest.approx(error_by_hand(outcomes), abs=1e-8)


def test_a_hundred_thousand_predictions_lose_no_precision():
    outcomes = [(95, True)] * 100_000
    assert calibration_error(*answered(outcomes)) == pytest.approx(0.05, abs=1e-8)


def test_confidences_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"1 confidences are not in 0..1, for example 87"):
        calibration_error([at(0)], [at(0, 0.5), at(0, 87)])
