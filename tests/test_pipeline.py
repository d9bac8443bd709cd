"""dvc.yaml, the stages, the settings, the flow and the README name the same things."""

import re
from pathlib import Path

import yaml

from flows.align import CHAIN
from tasks.settings import Settings, load_settings
from tasks.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_stage_of_dvc_is_a_function_and_is_part_of_the_chain():
    assert list(PIPELINE) == list(STAGES) == ["base", *CHAIN]
    for name, stage in PIPELINE.items():
        assert stage["cmd"] == f"exec python -m tasks.run {name}"


def test_every_dependency_exists_or_is_made_by_another_stage():
    made = {out for stage in PIPELINE.values() for out in stage["outs"]}
    checked = 0
    for stage in PIPELINE.values():
        for dep in stage["deps"]:
            if dep not in made and dep not in ("data", "${data}"):
                assert (ROOT / dep).exists(), dep
            checked += 1
    assert checked > 40


def test_every_parameter_is_a_setting():
    names = {name for stage in PIPELINE.values() for name in stage.get("params", [])}
    assert names <= set(Settings.model_fields) and len(names) > 10


def test_the_settings_in_force_are_valid_and_are_the_defaults():
    assert load_settings(ROOT / "params.yaml") == Settings()


def test_the_map_in_the_readme_names_files_that_exist():
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\b(?:flows|tasks|models|tests)/[\w/]+\.py\b", text))
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_target_in_the_readme_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = set(re.findall(r"(?:^|`)make ([\w-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= asked <= targets
