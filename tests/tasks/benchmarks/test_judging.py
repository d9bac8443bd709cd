"""A judge's measures on verdicts whose worth is known."""

import pytest

from tasks.benchmarks.judge_sheet import Bars, _below, _circular, compare_judges
from tasks.benchmarks.judging import pair_measures, point_measures, scores_against_verdicts
from tasks.judging.judge import Points, Verdict
from tasks.judging.trust import Trust, need_trust, trust_in
from tasks.records.judgements import Judgement
from tasks.running.errors import UserError


def pair(winner: str, **more) -> Judgement:
    return Judgement("1", "?", (), ("a", "b"), winner=winner, **more)


def said(first: str | None, second: str | None, preference: float | None) -> Verdict:
    return Verdict((first, second), preference)


def test_accuracy_is_of_both_orders_and_an_unreadable_verdict_is_wrong():
    pairs = [pair("A"), pair("B"), pair("A"), pair("B")]
    verdicts = [said("A", "A", 0.9), said("A", "B", 0.3)]
    verdicts += [said(None, "A", None), said("A", "A", 0.8)]
    found = pair_measures(pairs, verdicts)
    assert found["accuracy"] == 0.5 and found["swap_consistency"] == 0.5
    assert found["unreadable"] == 0.25 and found["majority"] == 0.5
    # as it stood: the first order alone, by where the winner was
    assert found["gold_first"] == 0.5 and found["gold_second"] == 0.0


def test_a_judge_that_always_prefers_the_first_is_right_half_the_time_and_never_consistent():
    pairs = [pair("A"), pair("B")] * 10
    found = pair_measures(pairs, [said("A", "B", 0.5)] * 20)
    assert found["gold_first"] == 1 and found["gold_second"] == 0
    assert found["accuracy"] == 0 and found["swap_consistency"] == 0


def test_ties_count_in_tau_and_only_there():
    pairs = [pair("A"), pair("tie"), pair("tie")]
    verdicts = [said("A", "A", 0.9), said("A", "B", 0.52), said("A", "A", 0.9)]
    found = pair_measures(pairs, verdicts, band=0.05)
    assert found["tau"] == pytest.approx(2 / 3) and found["diff"] == 1 and found["accuracy"] == 1


def test_margins_are_told_apart():
    pairs = [pair("A", details={"faults": faults}) for faults in ([0, 1], [0, 3], [0, 3])]
    found = pair_measures(pairs, [said("A", "A", 0.9), said("A", "A", 0.9), said("B", "B", 0.1)])
    assert found["accuracy_margin_1"] == 1 and found["accuracy_margin_3"] == 0.5
    assert found["pairs_margin_3"] == 2


def test_scores_go_with_verdicts_and_with_the_truth():
    pairs, verdicts = [pair("A"), pair("B")], [said("A", "A", 0.9), said("A", "A", 0.9)]
    scores = [Points(7.0, 6.9), Points(3.0, 3.1), Points(4.0, None), Points(9.0, None)]
    found = scores_against_verdicts(pairs, verdicts, scores)
    assert found == {"accuracy": 1.0, "agreement": 0.5}
    points = [Judgement("1", "?", (), ("a",), style="point", score=s) for s in (7.0, 3.0, 4.0, 9.0)]
    measured = point_measures(points, scores)
    assert measured["exact"] == 1 and measured["correlation"] == 1 and measured["distinct"] == 4


def test_three_verdicts_circle_where_all_prefer_the_one_shown_first():
    first, second = said("A", "B", 0.9), said("B", "A", 0.1)
    assert _circular([first] * 3) and _circular([second] * 3)
    assert not _circular([first, first, second]) and not _circular([said(None, None, None)] * 3)


def test_two_judges_are_compared_on_the_same_pairs():
    item = {"task": "image_generation", "winner": "A"}
    before = [item | {"preference": 0.2}] * 10 + [item | {"preference": 0.9}] * 10
    after = [item | {"preference": 0.8}] * 19 + [item | {"preference": None}]
    found = compare_judges(before, after, 100, 0)["image_generation"]
    assert found["difference"] == pytest.approx(0.45) and found["p_adjusted"] < 0.05


def test_a_judge_below_its_bar_is_refused_or_said(tmp_path, capsys):
    found = {"accuracy": 0.6, "swap_consistency": 0.9, "unreadable": 0.2}
    below = _below("image_generation", found, Bars(0.7, 0.7, 0.05))
    assert [words.split(" ")[1] for words in below] == ["accuracy", "unreadable"]
    Trust(2.0, 0.1, tuple(below), fitted=True).write(tmp_path)
    assert trust_in(str(tmp_path)) == Trust(2.0, 0.1, tuple(below), fitted=True)
    with pytest.raises(UserError, match="below its bar"):
        need_trust(str(tmp_path), "outputs/judge", False, "preferred.below_bar")
    assert need_trust(str(tmp_path), "outputs/judge", True, "preferred.below_bar") == tuple(below)
    assert "60.0%" in capsys.readouterr().out
    assert trust_in("http://127.0.0.1:1/v1") == Trust()
