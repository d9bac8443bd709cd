"""A judge is measured, and preferences are built, on no judgements, one and two."""

import pytest

from tasks.asking.turns import open_asker
from tasks.benchmarks.judging import measure_judge
from tasks.judging.candidates import Candidates
from tasks.judging.preferences import build_preferences, report
from tasks.records.judgements import judgement_of
from tasks.world.shards import make_sample


@pytest.fixture(scope="module")
def judge(model_folder, tmp_path_factory):
    return open_asker(model_folder, tmp_path_factory.mktemp("judge"), "cpu")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pairs", [0, 1, 2])
@pytest.mark.parametrize("points", [0, 1, 2])
def test_what_there_is_too_little_for_is_left_out(judge, pairs, points):
    samples = [make_sample(0, "test", "judge_pair", i) for i in range(pairs)]
    samples += [make_sample(0, "test", "judge_point", i) for i in range(points)]
    found = measure_judge(judge, [judgement_of(sample) for sample in samples], 400)
    assert all(isinstance(value, float) and value == value for value in found.values())
    assert (found["pairs"], found["scores"]) == (pairs, points)
    assert ("pair_accuracy" in found) == ("pair_majority" in found) == bool(pairs)
    assert ("unreadable" in found) == bool(pairs or points)


def test_details_that_are_no_numbers_of_faults_are_no_margin(judge):
    samples = [make_sample(0, "test", "judge_pair", i) for i in range(2)]
    for sample, faults in zip(samples, (["one", "two"], None), strict=True):
        sample.details["faults"] = faults
    found = measure_judge(judge, [judgement_of(sample) for sample in samples], 400)
    assert not [name for name in found if "margin" in name] and found["pairs"] == 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 2])
def test_preferences_of_few_pictures_have_no_share_of_nothing(judge, n):
    samples = [make_sample(0, "train", "tell", i) for i in range(n)]
    groups = [Candidates(s.id, s.prompt, ("A ring.", "A star."), tuple(s.images)) for s in samples]
    built = build_preferences(judge, groups)
    found = report(built, lambda group, a, b: None)
    assert all(value == value for value in found.values()) and found["prompts"] == n
    assert found["ranked_pairs"] == n and ("unreadable" in found) == bool(n)
    assert len(built.kept) + len(built.dropped) == n
    assert "order_accuracy" not in found
