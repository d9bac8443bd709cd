"""Adjusted p-values against their definition, and every statistic of no items, one and two."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from models.statistics import compare, holm, interval, known, mean, smallest_seen, told
from tasks.asking.coordinates import Coordinates
from tasks.benchmarks.comparison import compare_policies
from tasks.benchmarks.headroom import headroom, warning
from tasks.benchmarks.perception import by_task
from tasks.benchmarks.visual_rft import before_and_after, measures
from tasks.questions import score
from tasks.reporting.scores import standings
from tasks.world.shards import make_sample

FRAMES = Coordinates(100)


def rejected(p_values, level):
    """Holm's procedure itself: the smallest first, until one is too large for its share."""
    found = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] > level / (len(p_values) - rank):
            break
        found.add(i)
    return found


@given(st.lists(st.integers(0, 1000).map(lambda n: n / 1000), max_size=8), st.integers(1, 999))
def test_an_adjusted_p_value_is_the_level_at_which_holm_rejects(p_values, thousandths):
    level = (thousandths + 0.5) / 1000  # between the levels at which anything changes by rounding
    adjusted = holm(p_values)
    assert {i for i, p in enumerate(adjusted) if p <= level} == rejected(p_values, level)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))


@pytest.mark.parametrize("tests", [1, 87])
def test_the_smallest_difference_is_seen_in_80_percent_of_repetitions(tests):
    rng, error = np.random.default_rng(0), 0.02
    found = rng.normal(smallest_seen(error, tests), error, 20_000)
    seen = 2 * norm.sf(abs(found) / error) < 0.05 / tests
    assert seen.mean() == pytest.approx(0.8, abs=0.01)


def test_what_was_seen_is_as_large_as_what_could_be():
    rng = np.random.default_rng(0)
    base = rng.uniform(0, 0.5, 200)
    one = compare(base + rng.normal(0.1, 0.2, 200), base, 500)
    [row] = told([one])
    assert row["p_adjusted"] == row["p_value"] < 0.05
    assert row["smallest_seen"] == pytest.approx(2.8 * 0.2 / 200**0.5, rel=0.1)


def test_a_clear_difference_is_seen_among_as_many_tests_as_the_chain_makes():
    clear = compare(np.ones(60), np.zeros(60), 100)
    assert told([clear] * 87)[0]["p_adjusted"] < 0.05


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("task", ["find", "ground", "count", "caption"])
@pytest.mark.parametrize("same", [True, False])
def test_few_items_have_a_table_a_page_and_no_nan(n, task, same):
    samples = [make_sample(0, "test", task, i) for i in range(n)]
    right = [(s.answer, score(s, s.answer, (100, 100))) for s in samples]
    other = right if same else [("?", score(s, "?", (100, 100))) for s in samples]
    scores = {"base": [s.value for _, s in other], "policy": [s.value for _, s in right]}
    table = compare_policies(samples, scores, resamples=100, seed=0)
    shown = standings(table)
    assert len(shown.lines) == (0 if not n else 1 if task == "find" else 2)
    few_shot = before_and_after(samples, other, right, FRAMES, 100, 0)
    assert len(few_shot) == bool(n)
    values = [row["policy"] for row in table] + [
        one for row in few_shot.values() for one in row["comparisons"].values()
    ]
    for row in [*values, by_task(samples, right), measures(samples, right, FRAMES)]:
        assert all(value is None or value == value for value in row.values())


@pytest.mark.filterwarnings("error")
def test_nothing_has_no_mean_no_interval_and_no_headroom():
    assert mean([]) is None and known({"a": None, "b": 0.0}) == {"b": 0.0}
    nothing = np.array([])
    assert interval(nothing, 100) is None and compare(nothing, nothing, 100) is None
    assert told([]) == [] and holm([]) == []
    found = headroom(None, [], coordinates=FRAMES, answers=2, temperature=1, max_new_tokens=1)
    assert found == {} and warning(found) == ""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[0.3], [0.3, 0.3], [0.0, 1.0]])
def test_one_item_and_equal_ones_tell_no_standard_error(values):
    ours, base = np.array(values), np.zeros(len(values))
    found = compare(ours, base, 100)
    assert 0 < found.p_value <= 1 and found.difference.mean == pytest.approx(ours.mean())
    assert (found.error is None) == (np.ptp(ours) == 0)
    assert smallest_seen(found.error, 3) is None or found.error


def test_a_difference_that_only_one_test_would_show_is_not_marked_among_87():
    row = {"task": "find", "n": 60, "majority": 0.1, "base": {"mean": 0, "low": 0, "high": 0}}
    cell = row["base"] | {
        "difference": 0.1, "difference_low": 0.01, "difference_high": 0.2, "p_value": 0.03,
        "p_adjusted": 0.8, "smallest_seen": 0.2,
    }  # fmt: skip
    [line] = standings([row | {"policy_grpo": cell}]).lines
    assert line.last.verdict == "same"
    [line] = standings([row | {"policy_grpo": cell | {"p_adjusted": 0.04}}]).lines
    assert line.last.verdict == "better"


def test_the_bootstrap_interval_agrees_with_the_normal_one():
    values = np.random.default_rng(0).normal(0.6, 0.2, 400)
    found = interval(values, resamples=2000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=0.005)
    assert found.high == pytest.approx(values.mean() + half, abs=0.005)


def test_the_paired_test_sees_a_small_difference_that_overlapping_intervals_hide():
    base = np.random.default_rng(0).uniform(0, 1, 300)
    better = base + 0.02
    result = compare(better, base, resamples=999)
    assert result.p_value < 0.01
    assert result.difference.low > 0
    assert interval(better, 999).low < interval(base, 999).high


def test_the_same_scores_differ_in_nothing():
    assert compare(np.ones(5), np.ones(5), resamples=200).p_value == 1.0


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_few_items_have_the_p_value_of_all_their_sign_flips(n):
    differences = np.array([0.5, 0.25, 0.125, -0.5])[:n]
    flips = np.array(list(itertools.product((1, -1), repeat=n)))
    as_far = np.abs((flips * differences).mean(1)) >= abs(differences.mean()) - 1e-12
    found = compare(differences, np.zeros(n), resamples=999)
    assert found.p_value == pytest.approx(as_far.mean())
    assert found.difference.mean == pytest.approx(differences.mean())
