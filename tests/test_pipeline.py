"""dvc.yaml, the stages, the settings and the flows name the same things."""

import pkgutil
from importlib import import_module
from pathlib import Path

import yaml

import flows
from tasks.run import stage_function
from tasks.settings import Settings, load_settings, referring

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


FLOWS = [
    import_module(f"flows.{module.name}")
    for module in pkgutil.iter_modules(flows.__path__) if not module.ispkg
]  # fmt: skip


def test_every_flow_has_its_stages_in_the_order_of_dvc_yaml():
    assert len(FLOWS) > 1
    for flow in FLOWS:
        assert [stage for stage in PIPELINE if stage in flow.STAGES] == list(flow.STAGES)


def test_what_is_in_no_flow_is_shipped_or_drawn_before_one_or_an_experiment():
    in_flows = {stage for flow in FLOWS for stage in flow.STAGES}
    drawn = {name for name, stage in PIPELINE.items() if stage.get("meta", {}).get("drawn")}
    left = {
        name for name, stage in PIPELINE.items()
        if name not in in_flows | drawn and not stage.get("frozen")
    }  # fmt: skip
    experiments = {stage.removesuffix("_arms") for stage in left}
    assert left == experiments | {f"{name}_arms" for name in experiments}


def test_every_stage_of_dvc_is_a_function():
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
