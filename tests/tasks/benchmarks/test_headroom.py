"""What there is to elicit, of a real model's real answers."""

from statistics import fmean

import pytest

from tasks.asking.conversation import question
from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import open_asker
from tasks.benchmarks.headroom import headroom, warning
from tasks.questions import score
from tasks.world.shards import make_sample

ASKED = {"max_new_tokens": 8, "temperature": 1.0}


@pytest.fixture(scope="module")
def samples():
    return [make_sample(0, "dev", "find", number) for number in range(4)]


def test_the_best_of_a_group_is_compared_with_the_greedy_answer(model_folder, samples, tmp_path):
    asker = open_asker(model_folder, tmp_path, "cpu")
    # a caption's score is seldom exactly zero, so an untrained model's answers differ in it
    told = [s.model_copy(update={"metric": "caption", "answer": "a b c d"}) for s in samples]
    found = headroom(asker, told, coordinates=Coordinates(100), answers=6, seed=1, **ASKED)
    questions = [question(s.prompt, s.images) for s in told]
    groups = asker.ask(questions, samples=6, seed=1, **ASKED)  # remembered, so the same
    values = [
        [score(s, answer.text, (100, 100)).value for answer in group]
        for s, group in zip(told, groups, strict=True)
    ]
    assert found["best_of"] == pytest.approx(fmean(max(group) for group in values))
    assert found["sampled"] == pytest.approx(fmean(fmean(group) for group in values))
    assert found["zero_variance"] == fmean(len(set(group)) == 1 for group in values)
    assert found["headroom"] == pytest.approx(found["best_of"] - found["greedy"])


def test_a_model_that_never_succeeds_is_warned_about(model_folder, samples, tmp_path):
    asker = open_asker(model_folder, tmp_path, "cpu")
    found = headroom(asker, samples, coordinates=Coordinates(100), answers=4, **ASKED)
    assert found["best_of"] == 0 and found["zero_variance"] == 1
    assert "little to elicit" in warning(found) and "teach nothing" in warning(found)


def test_a_model_with_something_to_elicit_is_not():
    assert warning({"greedy": 0.2, "best_of": 0.6, "headroom": 0.4, "zero_variance": 0.3}) == ""
