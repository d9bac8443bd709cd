"""Calibration of judges, against what is known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from tasks.judging.calibration import (
    brier,
    calibration_error,
    tau_and_diff,
    temperature,
    tempered,
    tie_band,
    verdicts_within,
)

PREFERENCES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def honest(number: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Preferences of a judge that is right exactly as often as it says."""
    rng = np.random.default_rng(seed)
    sure = expit(rng.normal(0, 2, number))
    return sure, rng.random(number) < sure


def test_who_is_right_as_often_as_it_says_is_calibrated():
    sure, truth = honest()
    assert calibration_error(sure, truth) < 0.02
    assert temperature(sure, truth) == pytest.approx(1, abs=0.05)
    assert brier(sure, truth) == pytest.approx(np.mean(sure * (1 - sure)), abs=0.01)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_one_temperature_mends_who_is_too_sure_or_not_sure_enough(factor):
    sure, truth = honest()
    odd = expit(factor * logit(sure))
    assert calibration_error(odd, truth) > 0.05
    found = temperature(odd, truth)
    assert found == pytest.approx(factor, rel=0.1)
    assert calibration_error(tempered(odd, found), truth) < 0.02
    assert brier(tempered(odd, found), truth) < brier(odd, truth)


@given(PREFERENCES, st.floats(0.1, 10))
def test_a_temperature_changes_no_winner(preferences, at):
    changed = tempered(preferences, at)
    assert all((p > 0.5) == (c > 0.5) or abs(c - 0.5) < 1e-9
               for p, c in zip(preferences, changed, strict=True))  # fmt: skip


@given(PREFERENCES.flatmap(lambda p: st.tuples(
    st.just(p), st.lists(st.sampled_from(["A", "B", "tie"]), min_size=len(p), max_size=len(p)),
)))  # fmt: skip
def test_the_band_is_the_best_of_all_widths(items):
    preferences, gold = items
    best = tau_and_diff(gold, verdicts_within(preferences, tie_band(preferences, gold)))["tau"]
    for width in np.linspace(0, 0.6, 13):
        assert best >= tau_and_diff(gold, verdicts_within(preferences, width))["tau"]


def test_ties_are_found_by_a_judge_that_never_says_equal():
    preferences = [0.9, 0.1, 0.52, 0.47, 0.8, None]
    gold = ["A", "B", "tie", "tie", "A", "A"]
    band = tie_band(preferences, gold)
    assert 0.03 < band <= 0.3
    assert verdicts_within(preferences, band) == ["A", "B", "tie", "tie", "A", None]
