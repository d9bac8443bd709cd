"""Public benchmarks of judges, against the vectors of UnifiedReward's specification, section 10."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.benchmarks.vl_reward_bench import (
    vl_reward_accuracy,
    vl_reward_group,
    vl_reward_verdict,
)
from tasks.judging.calibration import tau_and_diff
from tasks.judging.verdicts import pair_winner

VECTORS = Path(__file__).parent / "vectors"
SIDES = {"L": "A", "R": "B", "T": "tie", "B": "tie", "1": "A", "2": "B", "?": None,
         "A": "A", "same": "tie"}  # fmt: skip


def rows(name: str) -> list:
    return [tuple(row[:2]) for row in json.loads((VECTORS / f"{name}.json").read_text())["rows"]]


@pytest.mark.parametrize(("given", "expected"), rows("genai_bench_tau_diff"))
def test_genai_bench(given, expected):
    found = tau_and_diff([SIDES[g] for g in given["gold"]], [SIDES[p] for p in given["pred"]])
    assert with_nothing_as_zero(found) == pytest.approx(expected["image_gold_both_equal"])


@pytest.mark.parametrize(("given", "expected"), rows("videogen_reward_tau_diff"))
def test_videogen_reward_bench(given, expected):
    # its letters: B is a winner here, and not "both bad"
    gold = [{"A": "A", "B": "B", "same": "tie"}[g] for g in given["gold"]]
    verdicts = [pair_winner(text, "video_generation") for text in given["outputs"]]
    # the script takes what it cannot read for "equal"; ours is wrong about such an item
    found = tau_and_diff(gold, [verdict or "tie" for verdict in verdicts])
    assert with_nothing_as_zero(found) == pytest.approx(expected["qwen"])
    strict = with_nothing_as_zero(tau_and_diff(gold, verdicts))
    assert strict["diff"] == pytest.approx(found.get("diff", 0.0)) and strict["tau"] <= found["tau"]


def with_nothing_as_zero(found: dict[str, float]) -> dict[str, float]:
    """The scripts give 0 to an accuracy of no items; here it is left out."""
    return {"tau": 0.0, "diff": 0.0} | found


@pytest.mark.parametrize(("given", "expected"), rows("vlreward_group"))
def test_the_official_groups(given, expected):
    assert vl_reward_group(given["id"]) == expected["official"]


@pytest.mark.parametrize(("given", "expected"), rows("vlreward_metrics"))
def test_the_official_accuracies(given, expected):
    found = vl_reward_accuracy(given["ids"], given["correct"])
    assert found["overall"] == pytest.approx(expected["overall"])
    assert found["macro"] == pytest.approx(expected["macro_official"])
    sizes = [value for name, value in found.items() if name.endswith("/n")]
    assert sum(sizes) == len(given["ids"])


@pytest.mark.parametrize(("given", "expected"), rows("vlreward_parse_prediction"))
def test_the_official_reading_of_verdicts(given, expected):
    assert vl_reward_verdict(given["text"]) == (None if expected == "fallback" else expected)


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "tie"]), st.sampled_from(["A", "B", None]))))
def test_who_never_says_equal_is_right_about_decided_items_alone(items):
    found = tau_and_diff([gold for gold, _ in items], [said for _, said in items])
    decided = [gold for gold, _ in items if gold != "tie"]
    assert ("tau" in found) == bool(items) and ("diff" in found) == bool(decided)
    if decided:
        assert found["tau"] * len(items) == pytest.approx(found["diff"] * len(decided))
