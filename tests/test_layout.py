"""Protects the tree: imports go one way, and no file shadows a library."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = [file for folder in ("flows", "tasks", "models") for file in (ROOT / folder).rglob("*.py")]


def imported(file: Path) -> set[str]:
    """Return the top-level names that a file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            names.add(f"relative import in line {node.lineno}")
    return names


def importers(*forbidden: str, below: tuple[str, ...]) -> list[str]:
    files = [file for file in CODE if file.relative_to(ROOT).parts[0] in below]
    assert len(files) > 5, f"the walk found only {len(files)} files in {below}"
    return [str(f.relative_to(ROOT)) for f in files if imported(f) & set(forbidden)]


def test_the_walk_sees_the_code():
    walked = {file.relative_to(ROOT).parts[0] for file in CODE}
    assert len(CODE) > 10 and walked == {"flows", "tasks", "models"}


def test_the_walk_sees_an_import_inside_a_function(tmp_path):
    (tmp_path / "late.py").write_text("def f():\n    from prefect.states import State\n")
    assert imported(tmp_path / "late.py") == {"prefect"}


def test_tasks_and_models_do_not_know_the_flows():
    assert importers("flows", below=("tasks", "models")) == []


def test_models_do_not_know_the_tasks():
    assert importers("tasks", below=("models",)) == []


def test_only_flows_know_prefect():
    assert importers("prefect", below=("tasks", "models")) == []


def test_no_code_imports_the_tests():
    assert importers("tests", below=("flows", "tasks", "models")) == []


@pytest.mark.parametrize("suffix", [".py", ".pyc", ".pyi"])
def test_nothing_in_the_mlflow_folder_can_shadow_the_library(suffix):
    assert (ROOT / "mlflow").is_dir()
    assert list((ROOT / "mlflow").rglob(f"*{suffix}")) == []


def test_mlflow_is_the_library_and_not_our_folder():
    origin = importlib.util.find_spec("mlflow").origin
    assert origin and not Path(origin).is_relative_to(ROOT / "mlflow")
