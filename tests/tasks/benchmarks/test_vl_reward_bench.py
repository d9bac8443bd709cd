"""Public benchmarks of judges, against the vectors of UnifiedReward's specification, section 10."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.benchmarks.judging_sources import by_source
from tasks.benchmarks.vl_reward_bench import (
    vl_reward_accuracy,
    vl_reward_group,
    vl_reward_verdict,
)
from tasks.judging.calibration import tau_and_diff
from tasks.judging.verdicts import pair_winner
from tasks.reading.dataset import read_dataset
from tasks.records.judgements import judgement_of
from tasks.records.rows import read_samples
from tests.tasks.reading.folders import PNG

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


def item(i: int, **facts) -> dict:
    return {
        "public_id": f"mmmu_{i}", "source": "vl_reward_bench", "responses": ["one", "four"],
        "winner": "A", "said": "A", "preference": 0.9, "first_order": "A", "other_order": "A",
    } | facts  # fmt: skip


def test_a_data_set_is_told_with_its_ties_and_vl_reward_bench_in_its_own_order():
    items = [
        item(0),  # seven letters: it is asked the other way round
        item(1, other_order="B", preference=0.6),
        item(2, responses=["one", "three"], other_order="B"),
        item(3, source="genai_bench/image", winner="tie", said="tie", preference=0.51),
        item(4, source="genai_bench/image", preference=None, said=""),
    ]
    found = by_source(items, 50, 0)
    vl, genai = found["vl_reward_bench"], found["genai_bench/image"]
    assert vl["accuracy"] == vl["diff"] == 1.0 and vl["official/overall"] == pytest.approx(2 / 3)
    assert vl["official/reasoning/n"] == 3 and "official/general/n" not in vl
    assert genai["n"] == 2 and genai["accuracy"] == 0.0 and genai["tau"] == 0.5
    assert not any(name.startswith("official") for name in genai)


def test_an_item_keeps_its_identifier_from_the_file_to_its_group(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    rows = [
        {"id": name, "query": "Q?", "response": [f"{name} x", "y"], "human_ranking": [0, 1],
         "image": "a.png"}
        for name in ("mmmu_pro_val_Art_2", "hallucination_pair-77", "wildvision-1")
    ]  # fmt: skip
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    read_dataset(tmp_path, tmp_path / "out", set_aside=tmp_path / "aside", max_rejected_share=0.0)
    read = [judgement_of(sample) for sample in read_samples(tmp_path / "out", "test")]
    groups = {vl_reward_group(j.details["id"]) for j in read}
    assert groups == {"reasoning", "hallucination", "general"}
    assert {j.source for j in read} == {"vl_reward_bench"}
