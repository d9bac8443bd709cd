"""dvc.yaml, the stages, the settings, the flow and the README name the same things."""

import json
import re
from pathlib import Path
from statistics import mean

import yaml

from flows import align, reinforce
from tasks.run import stage_function
from tasks.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_stage_of_dvc_is_a_function_and_is_part_of_a_flow():
    few_shot = ["few_shot_world", "habits", *reinforce.STAGES, "visual_rft"]
    assert list(PIPELINE) == ["base", *align.STAGES, *few_shot]
    files = {file.stem for file in (ROOT / "tasks" / "stages").glob("*/[a-z]*.py")}
    assert files == set(PIPELINE)
    for name, stage in PIPELINE.items():
        assert stage_function(name).__name__ == name
        assert stage["cmd"] == f"exec python -m tasks.run {name}"


def test_every_dependency_exists_or_is_made_by_another_stage():
    made = {out for stage in PIPELINE.values() for out in stage["outs"]}
    checked = 0
    for stage in PIPELINE.values():
        for dep in stage["deps"]:
            if dep not in made and dep not in ("data", "${data}", "${shots.data}"):
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


def test_the_benchmark_table_in_the_readme_is_that_of_its_file():
    text = (ROOT / "README.md").read_text()
    cases = json.loads((ROOT / "bench" / "grpo.json").read_text())["cases"]
    rows = [
        f"{row['seconds']['stock']['step']:.1f} s | {row['seconds']['ours']['step']:.1f} s | "
        f"**{row['ratio']:.2f}**"
        for row in cases
    ]
    assert len(rows) == 4 and [row for row in rows if row not in text] == []


def test_the_experiments_table_in_the_readme_is_that_of_its_file():
    text = (ROOT / "README.md").read_text()
    table = json.loads((ROOT / "bench" / "visual_rft.json").read_text())
    rows = []
    for arms in table.values():
        for row in arms:
            mean, low, high = (100 * row["score"][name] for name in ("mean", "low", "high"))
            name = "start" if row["arm"] == "base" else row["arm"]
            rows.append(f"| {name} | {mean:.1f} [{low:.1f}, {high:.1f}] |")
    assert len(rows) == 11 + 7 + 7 and [row for row in rows if row not in text] == []


def test_the_cost_of_the_platform_in_the_readme_is_that_of_its_file():
    text = (ROOT / "README.md").read_text()
    measured = json.loads((ROOT / "bench" / "platform.json").read_text())
    found, limits = measured["found"], measured["limits"]
    chain, script = (mean(r["seconds"] for r in measured[kind]) for kind in ("platform", "plain"))
    told = [
        f"{chain:.0f} s beside {script:.0f} s: ",
        f"differ by {found['plain_runs_differ_seconds']:.0f} s",
        f"+{found['overhead_seconds']:.0f} s, {100 * found['overhead_share']:.1f} %",
        f"| {found['outside_stages_seconds']:.0f} s, {100 * found['outside_stages_share']:.1f} % |",
        f"| {found['cached_seconds']:.1f} s | {limits['cached_seconds']:.0f} s |",
        f"| {found['ready_seconds']:.0f} s | {limits['ready_seconds']:.0f} s |",
        f"| {found['memory_gb']:.2f} GB | {limits['memory_gb']} GB |",
    ]
    assert [row for row in told if row not in text] == []


def test_the_pictures_in_the_readme_exist():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures and [name for name in pictures if not (ROOT / name).is_file()] == []


def test_the_scores_of_the_base_in_the_readme_are_those_measured():
    text = (ROOT / "README.md").read_text()
    measured = json.loads((ROOT / "outputs" / "metrics" / "base.json").read_text())
    named = {
        "counting": "count/score", "caption": "caption/score", "table value": "table_value/score",
        "receipt value": "receipt_value/score", "detection of one shape": "detect/f1_at_50",
        "grounding": "ground/score", "region to words": "region/score",
        "which of two captions is better, one order": "judge_pair/score",
    }  # fmt: skip
    for name, key in named.items():
        assert f"| {name} | {100 * measured[key]:.0f} |" in text, name
