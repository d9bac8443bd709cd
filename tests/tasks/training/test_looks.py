"""Greedy looks: scored as the benchmark scores; the best weights are kept, also after a kill."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from models.vlm.loading import load_model
from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import open_asker
from tasks.benchmarks.perception import benchmark
from tasks.records.rows import Sample
from tasks.rewards.detection import overlap_with_true_box, overlap_with_true_boxes
from tasks.rewards.reward import Reward
from tasks.rewards.suspicion import SIGNS
from tasks.rewards.text import thinks_then_answers
from tasks.training.demonstrations import demonstrations
from tasks.training.grpo import grpo_dataset
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import fine_tuned, reinforced

FRAMES = Coordinates(100)
TOKENS = 40


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [make_sample(0, "train", "ground", number) for number in range(8)]


@pytest.fixture
def options(model_folder, tmp_path) -> dict:
    return {
        "model": model_folder, "out": str(tmp_path / "out"), "scratch": str(tmp_path / "scratch"),
        "run_id": "", "seed": 0, "device": "cpu", "watched": overlap_with_true_box,
        "evaluate_every": 4, "look_tokens": TOKENS, "keep_last": str(tmp_path / "last"),
    }  # fmt: skip


def fine_tune(samples: list[Sample], **options) -> list[dict]:
    rows = [(s.prompt, s.answer, s.images) for s in samples]
    looks = grpo_dataset(samples, FRAMES)
    return fine_tuned(rows, looks=looks, batch=8, **{"learning_rate": 3e-3} | options)


def looks(options: dict) -> dict[int, float]:
    found = json.loads((Path(options["scratch"]) / "looks.json").read_text())
    return {int(step): score for step, score in found.items()}


def greedy(model: str, samples: list[Sample], folder: Path) -> float:
    """Score a saved model with the benchmark itself."""
    asker = open_asker(model, folder, "cpu")
    scores = [score.value for _, score in benchmark(asker, samples, FRAMES, TOKENS, "asking")]
    return sum(scores) / len(scores)


def test_a_look_is_the_benchmark_and_the_best_look_is_what_is_saved(samples, options, tmp_path):
    history = fine_tune(samples, steps=60, **options)
    taken = looks(options)
    assert list(taken) == list(range(0, 61, 4)) and max(taken.values()) > taken[0]
    # saved in bfloat16, looked at in float32: a coordinate may move by one
    best, last = (greedy(options[k], samples, tmp_path / k) for k in ("out", "keep_last"))
    assert best == pytest.approx(max(taken.values()), abs=0.1)
    assert last == pytest.approx(taken[60], abs=0.1)
    told = json.loads((Path(options["out"]) / "looks.json").read_text())
    assert {int(step): score for step, score in told["scores"].items()} == taken
    assert taken[told["kept"]] == max(taken.values())
    # each look stands at its own step, and the one before all steps at none
    looked = {step: row["dev/score"] for step, row in enumerate(history, 1) if "dev/score" in row}
    assert looked == {step: score for step, score in taken.items() if step}


def test_looks_do_not_change_a_training(samples, options, tmp_path):
    fine_tune(samples, steps=8, **options)
    without = {**options, "watched": None, "evaluate_every": 0, "keep_last": ""}
    without |= {"out": str(tmp_path / "out2"), "scratch": str(tmp_path / "scratch2")}
    fine_tune(samples, steps=8, **without)
    looked, plain = (
        dict(load_model(k).named_parameters()) for k in (options["keep_last"], without["out"])
    )
    assert all(torch.equal(looked[name], plain[name]) for name in plain)


def test_a_training_without_gain_stops_and_keeps_where_it_started(samples, options):
    history = fine_tune(samples, steps=60, patience=2, **{**options, "learning_rate": 5.0})
    assert len(history) == 8  # two looks after the first
    before, after = (dict(load_model(options[k]).named_parameters()) for k in ("model", "out"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_continued_training_knows_the_looks_before_the_kill(samples, options):
    fine_tune(samples, steps=8, **options)
    first = looks(options)
    fine_tune(samples, steps=16, **options)
    assert list(looks(options)) == [0, 4, 8, 12, 16]
    assert {step: looks(options)[step] for step in first} == first


def saved(options: dict) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(options["out"]).iterdir()}


def test_a_training_killed_after_its_last_step_keeps_the_best_look(samples, options, capsys):
    """No training starts again then: the looks are known all the same."""
    history = fine_tune(samples, steps=8, **options)
    taken, expected = looks(options), saved(options)
    again = {**options, "out": options["out"] + "_again"}
    assert fine_tune(samples, steps=8, **again) == history
    assert saved(again) == expected and looks(options) == taken
    assert "steps 0  samples 0" in capsys.readouterr().out.splitlines()[-1]


def test_a_training_killed_after_it_had_stopped_stops_again(samples, options):
    settings = {**options, "learning_rate": 5.0}
    history = fine_tune(samples, steps=60, patience=2, **settings)
    again = {**settings, "out": options["out"] + "_again"}
    # the last checkpoint was at step 6, so two steps and the second look are done again
    assert fine_tune(samples, steps=60, patience=2, **again) == history
    assert saved(again) == saved(options)


@pytest.mark.parametrize("torn", ["", '{"0": 0.0, "4"', "[0, 4]", '{"0": null}'])
def test_torn_looks_do_not_block_a_training(torn, samples, options, capsys):
    fine_tune(samples, steps=4, **options)
    best = max(looks(options).values())
    (Path(options["scratch"]) / "looks.json").write_text(torn)
    fine_tune(samples, steps=8, **options)
    assert "set aside as looks.json.damaged-1" in capsys.readouterr().out
    assert max(looks(options).values()) >= best  # known from its weights
    assert {8} <= looks(options).keys() <= {0, 4, 8}


def test_damaged_weights_of_the_best_look_are_set_aside(samples, options, capsys):
    fine_tune(samples, steps=4, **options)
    weights = Path(options["scratch"]) / "best.pt"
    weights.write_bytes(weights.read_bytes()[:-1000])
    fine_tune(samples, steps=8, **options)
    assert "best.pt.damaged-1; the looks start anew" in capsys.readouterr().out
    assert list(looks(options)) == [4, 8]
    assert torch.load(weights, weights_only=True)["step"] in (4, 8)


def test_rollouts_are_kept_with_their_rewards_and_signs(options):
    found = [make_sample(0, "train", "find", number) for number in range(8)]
    settings = {**options, "watched": overlap_with_true_boxes, "keep_last": ""}
    history = reinforced(
        found, found[:2], coordinates=FRAMES, prompts=2, answers=4, learning_rate=1e-4, beta=0.0,
        temperature=1.0, max_new_tokens=8, steps=4, rewards=[Reward(function=thinks_then_answers)],
        **settings,
    )  # fmt: skip
    rows = pq.read_table(Path(options["out"]) / "rollouts.parquet").to_pylist()
    assert len(rows) == 4 * 2 * 4 and {row["step"] for row in rows} == {1, 2, 3, 4}
    by_prompt = {sample.prompt: sample for sample in found}
    for row in rows:
        true = [
            [box.x0, box.y0, box.x1, box.y1]
            for box in (b.to((100, 100)) for b in by_prompt[row["question"]].boxes)
        ]
        assert row["true"] == [pytest.approx(corners, abs=1e-4) for corners in true]
        assert [reward["name"] for reward in row["rewards"]] == ["thinks_then_answers"]
        assert row["images"][0]["bytes"][:4] == b"\x89PNG"
    assert all(0 <= row[f"train/signs/{name}"] <= 1 for row in history for name in SIGNS)


def test_a_demonstration_earns_everything(samples):
    found = [make_sample(0, "train", "find", number) for number in range(4)]
    rows = grpo_dataset(found, FRAMES)[:]
    answers = [answer for _, answer, _ in demonstrations(found, FRAMES)]
    assert min(overlap_with_true_boxes(answers, **rows)) > 0.9  # integers of 0 to 99
    assert thinks_then_answers(answers, **rows) == [1.0] * 4
    bare = [answer for _, answer, _ in demonstrations(found, FRAMES, thought=False)]
    assert all(answer.startswith("<think></think><answer>") for answer in bare)
