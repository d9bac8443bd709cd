"""The code dependencies in dvc.yaml are what the stages import: none is missing, none is dead."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.running.closure import EXEMPT, closure, dependencies, is_code, write
from tasks.running.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
IMPORTED = """
import importlib, json, sys
from pathlib import Path
importlib.import_module(sys.argv[1])
files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
print(json.dumps([file for file in files if file and file.startswith(sys.argv[2])]))
"""


def file_of(stage: str) -> Path:
    [file] = (ROOT / "tasks" / "stages").glob(f"*/{stage}.py")
    return file


def covered(name: str, deps: list[str]) -> bool:
    return any(name == dep or name.startswith(f"{dep}/") for dep in deps)


@pytest.mark.parametrize("stage", PIPELINE)
def test_dvc_names_the_import_closure_of_every_stage(stage):
    """`make deps` has been run."""
    code = [dep for dep in PIPELINE[stage]["deps"] if is_code(dep)]
    assert code == dependencies(stage)
    files = closure(file_of(stage))
    assert [name for name in files if not covered(name, code)] == []
    assert [dep for dep in code if not any(covered(name, [dep]) for name in files)] == []


@pytest.mark.parametrize("stage", ["intake", "policy_grpo", "report", "visual_rft_arms"])
def test_what_python_imports_for_a_stage_is_named(stage):
    """The same found in another way: by importing it."""
    module = ".".join(file_of(stage).relative_to(ROOT).with_suffix("").parts)
    told = subprocess.run(
        [sys.executable, "-c", IMPORTED, module, f"{ROOT}/"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = [Path(file).relative_to(ROOT).as_posix() for file in json.loads(told.stdout)]
    ours = [n for n in names if is_code(n) and not n.startswith(EXEMPT)]
    ours = [n for n in ours if closure(ROOT / n)]  # a package's docstring computes nothing
    assert len(ours) > 10 or stage == "intake"
    assert [n for n in ours if not covered(n, PIPELINE[stage]["deps"])] == []


def test_how_a_stage_is_run_is_no_dependency():
    for stage in PIPELINE.values():
        assert [dep for dep in stage["deps"] if dep.startswith(EXEMPT)] == []


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in ("tasks", "models"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    return tmp_path


def test_what_is_written_is_what_was_there_and_a_new_import_is_added(tree):
    before = (tree / "dvc.yaml").read_text()
    assert write(tree) == [] and (tree / "dvc.yaml").read_text() == before
    stage = tree / "tasks" / "stages" / "align" / "intake.py"
    stage.write_text(stage.read_text() + "\n\nimport models.reward.scalar\n")
    assert write(tree) == ["intake"]
    after = (tree / "dvc.yaml").read_text()
    assert "models/reward/scalar.py" in yaml.safe_load(after)["stages"]["intake"]["deps"]
    comments = [line.partition("#")[2] for line in before.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in after.splitlines() if "#" in line] == comments


@pytest.mark.parametrize(
    "call", ["prompt(name)", 'prompt(f"{name}_instructions")', "prompt(**values)"]
)
def test_a_prompt_named_by_a_variable_is_refused(tree, call):
    stage = tree / "tasks" / "stages" / "align" / "intake.py"
    text = f"from tasks.prompts import prompt\n\ndef f(name, values):\n    return {call}\n"
    stage.write_text(text)
    with pytest.raises(UserError, match="intake.py, line 4, names a prompt by a variable"):
        closure(stage, tree)
