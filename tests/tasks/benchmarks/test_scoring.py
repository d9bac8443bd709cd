"""Scores, captions and statistics, each against a second way of getting the number."""

import itertools

import numpy as np
import pytest

from tasks.benchmarks.captions import aligned_word_f1, sentence_f1, sentences
from tasks.benchmarks.scoring import score
from tasks.benchmarks.statistics import compare, interval
from tasks.records.rows import Sample
from tasks.rewards.detection import overlap_with_true_boxes

FRAME = (100, 100)


def sample(metric: str, **fields) -> Sample:
    return Sample(id="s", task="t", split="test", prompt="?", metric=metric, **fields)


def test_the_trained_number_is_the_reported_number():
    text = "<think>1</think><answer>[{'bbox_2d': [10, 10, 50, 48], 'confidence': 0.9}]</answer>"
    truth = sample("tagged_detections", corners=[[9.6, 9.6, 48.0, 48.0]], size=(96, 96))
    reward = overlap_with_true_boxes(
        [text], boxes=[[[b.x0, b.y0, b.x1, b.y1] for b in (x.to(FRAME) for x in truth.boxes)]],
        frame=[FRAME],
    )  # fmt: skip
    assert score(truth, text, FRAME).value == pytest.approx(reward[0])
    assert 0.9 < reward[0] < 1


@pytest.mark.parametrize(
    ("fields", "text", "value"),
    [
        ({"metric": "exact", "answer": "red"}, " red ", 1.0),
        ({"metric": "exact", "answer": "red"}, "Red", 0.0),
        ({"metric": "final", "final": "17"}, "<think>x</think><answer>17</answer>", 1.0),
        ({"metric": "final", "final": "17"}, "17", 0.0),
        ({"metric": "pair", "answer": "B"}, "B", 1.0),
        ({"metric": "pair", "answer": "A"}, "no idea", 0.0),
        ({"metric": "point", "answer": "7"}, "7", 1.0),
        ({"metric": "point", "answer": "7"}, "4", 0.0),
        ({"metric": "box", "corners": [[0, 0, 48, 48]], "size": (96, 96)}, "[0, 0, 50, 50]", 1.0),
        ({"metric": "box", "corners": [[0, 0, 48, 48]], "size": (96, 96)}, "there", 0.0),
        ({"metric": "detections", "corners": [], "size": (96, 96)}, "[]", 1.0),
    ],
)
def test_each_metric_scores_right_and_wrong_answers(fields, text, value):
    assert score(sample(**fields), text, FRAME).value == pytest.approx(value)


def test_sentence_alignment_finds_the_best_of_all_permutations():
    text = "A red star. A blue ring at the top. A cross."
    reference = "A blue cross. A red star. A pink ring at the top left."
    given, true = ([s.lower().split() for s in sentences(t)] for t in (text, reference))
    common = [
        sum(len(set(given[i]) & set(true[j])) for i, j in enumerate(order))
        for order in itertools.permutations(range(3))
    ]
    words = sum(map(len, given)) + sum(map(len, true))
    assert aligned_word_f1(text, reference) == pytest.approx(2 * max(common) / words)


def test_a_left_out_sentence_costs_more_than_a_wrong_word():
    reference = "A small red star. A large blue ring. A pink cross."
    wrong_word = "A small red star. A large blue ring. A green cross."
    left_out = "A small red star. A large blue ring."
    assert aligned_word_f1(left_out, reference) < aligned_word_f1(wrong_word, reference) < 1
    assert sentence_f1(reference, reference) == 1


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
