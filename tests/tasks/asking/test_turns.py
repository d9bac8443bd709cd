"""Stages that use several models hold one at a time, on a tiny model and a few samples."""

import gc
import shutil
from pathlib import Path

import pytest
from transformers import PreTrainedModel

import tasks.asking.opening
from tasks.asking.conversation import question
from tasks.asking.turns import asking
from tasks.job import Job
from tasks.records.rows import SAMPLES, sample_row, write_shards, write_summary
from tasks.running.tracking import Cost
from tasks.settings import Settings
from tasks.stages.align.answers_base import answers_base
from tasks.stages.align.benchmarks import POLICIES
from tasks.stages.align.preferences import preferences
from tasks.stages.align.reward_model import reward_model
from tasks.stages.reinforce.perception import perception
from tasks.stages.reinforce.reinforced import reinforced
from tasks.world.shards import make_sample

KINDS = ("find", "ground", "count", "tell", "caption", "chart_value", "judge_pair", "judge_point")
SMALL = {
    "model": "model", "device": "cpu",
    "reward_model": {"steps": 1, "batch": 2, "judged": 2},
    "preferences": {"pictures": 2, "candidates": 2, "max_new_tokens": 4},
    "benchmarks": {"per_task": 1, "resamples": 100, "max_new_tokens": 4},
    "reinforced": {
        "model": "model", "steps": 1, "prompts": 2, "answers": 2, "max_new_tokens": 4,
        "look_every": 1,
    },
}  # fmt: skip


def live() -> int:
    """Count the models that Python still holds, those that wait for its collector included."""
    return sum(isinstance(thing, PreTrainedModel) for thing in gc.get_objects())


@pytest.fixture
def opened(monkeypatch) -> list[int]:
    """How many more models than at the start were there whenever one was opened."""
    while gc.collect():  # what earlier tests left
        pass
    before, counts, load = live(), [], tasks.asking.opening.load_model

    def counting(*args, **kwargs):
        counts.append(live() - before)
        return load(*args, **kwargs)

    monkeypatch.setattr(tasks.asking.opening, "load_model", counting)
    return counts


@pytest.fixture(scope="module")
def root(tmp_path_factory, model_folder) -> Path:
    root = tmp_path_factory.mktemp("root")
    samples = [make_sample(0, split, kind, i) for split in ("train", "dev", "test")
               for kind in KINDS for i in range(2)]  # fmt: skip
    write_shards(map(sample_row, samples), root / "outputs" / "intake", SAMPLES)
    shots = [sample for sample in samples if sample.task == "find"]
    write_shards(map(sample_row, shots), root / "outputs" / "shots", SAMPLES)
    facts = dict.fromkeys(("train", "dev", "tested", "classes", "classes_tested"), 2)
    write_summary(root / "outputs" / "shots", **facts, short_classes={})
    for name in ("model", *(f"outputs/{stage}" for stage in (*POLICIES[1:], "reward_model"))):
        shutil.copytree(model_folder, root / name)
    return root


def run(stage, root: Path, tmp_path: Path) -> Job:
    settings = Settings.model_validate(SMALL)
    job = Job(root, tmp_path / "out", tmp_path / "scratch", "", Cost(0.0))
    job.out.mkdir()
    stage(settings, job)
    return job


@pytest.mark.parametrize(
    ("stage", "models"),
    [(reward_model, 2), (preferences, 2), (answers_base, 1),
     (reinforced, 2)],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_model_is_opened_when_no_other_is_there(stage, models, opened, root, tmp_path):
    run(stage, root, tmp_path)
    assert opened == [0] * models


def test_the_starting_model_is_gone_when_the_adapted_one_is_asked(opened, root, tmp_path):
    adapted = run(reinforced, root, tmp_path).out
    shutil.copytree(adapted, root / "outputs" / "reinforced")
    opened.clear()
    (tmp_path / "second").mkdir()
    run(perception, root, tmp_path / "second")
    assert opened == [0, 0]


def test_two_askers_would_be_noticed(opened, model_folder, tmp_path):
    with asking(model_folder, tmp_path), asking(model_folder, tmp_path / "second"):
        assert opened[0] == 0 < opened[1]


def test_what_an_asker_counted_is_there_after_its_turn(model_folder, tmp_path):
    with asking(model_folder, tmp_path, "cpu") as asker:
        asker.ask([question("What is it?")], max_new_tokens=2)
    assert asker.tokens > 0 and asker.unanswered == [] and not hasattr(asker, "engine")
