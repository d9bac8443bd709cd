"""dvc.yaml, the stages, the settings and the flows name the same things."""

from pathlib import Path

import yaml

from flows import align, reinforce
from tasks.run import stage_function
from tasks.settings import Settings, load_settings, referring

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_stage_of_dvc_is_a_function_and_is_part_of_a_flow():
    few_shot = ["few_shot_world", "habits", *reinforce.STAGES, "visual_rft_arms", "visual_rft"]
    assert list(PIPELINE) == ["base", *align.STAGES, *few_shot]
    files = {file.stem for file in (ROOT / "tasks" / "stages").glob("*/[a-z]*.py")}
    assert files == set(PIPELINE)
    for name, stage in PIPELINE.items():
        assert stage_function(name).__name__ == name
        assert stage["cmd"] == f"exec python -m tasks.run {name}"


def test_every_dependency_exists_or_is_made_by_another_stage():
    made = {out for stage in PIPELINE.values() for out in stage["outs"]}
    named = {f"${{{name}}}" for to in ("model", "data") for name in referring(Settings, to)}
    checked = 0
    for stage in PIPELINE.values():
        for dep in stage["deps"]:
            if dep not in made and dep != "data" and dep not in named:
                assert (ROOT / dep).exists(), dep
            checked += 1
    assert checked > 40


def test_every_parameter_is_a_setting():
    names = {name for stage in PIPELINE.values() for name in stage.get("params", [])}
    assert len(names) > 10
    for name in names:  # a setting, or a whole section
        section, _, inside = name.partition(".")
        assert not inside or inside in Settings.model_fields[section].annotation.model_fields, name


def test_no_stage_depends_on_what_changes_no_result():
    for stage, spec in PIPELINE.items():
        assert not any(name.startswith("machine") for name in spec.get("params", [])), stage


def test_the_settings_in_force_are_valid_and_are_the_defaults():
    assert load_settings(ROOT / "params.yaml") == Settings()
