"""The shipped start of judges passes its gates: it sees what a judge must, and does not judge."""

import json
from pathlib import Path

import pytest

from tasks.records.judgements import TASKS
from tasks.settings import load_settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def metrics() -> dict[str, float]:
    return json.loads((ROOT / "outputs" / "metrics" / "judge_start.json").read_text())


def test_it_sees_what_a_judge_must(metrics):
    bars = load_settings(ROOT / "params.yaml").judge_start
    assert metrics["gate/two_pictures"] >= bars.two_pictures
    for sort in ("colors", "shapes", "places"):
        assert metrics[f"gate/caption_{sort}"] >= bars.caption_facts
    assert metrics["gate/motion"] >= bars.motion


def test_its_verdicts_are_careless(metrics):
    bars = load_settings(ROOT / "params.yaml").judge_start
    found = {name: value for name, value in metrics.items()
             if name.startswith(("gate/verdicts/", "gate/scores/"))}  # fmt: skip
    assert len(found) == 2 * len(TASKS) and max(found.values()) <= bars.verdicts


def test_it_keeps_what_the_base_knows(metrics):
    bars = load_settings(ROOT / "params.yaml").judge_start
    assert metrics["gate/base_mean_change"] >= -bars.forgets
    assert sum(name.startswith("base/") for name in metrics) > 20


def test_it_is_small_enough_to_be_shipped():
    files = list((ROOT / "outputs" / "judge_start").iterdir())
    assert sum(file.stat().st_size for file in files) < 7.5e6
    assert {"model.safetensors", "tokenizer.json", "summary.json"} <= {file.name for file in files}
