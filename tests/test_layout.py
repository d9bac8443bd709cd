"""Protects the tree: imports go one way, and no file shadows a library."""

import ast
import importlib.util
from graphlib import TopologicalSorter
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


# inside tasks/: a package imports from those before it, and from itself
LAYERS = (
    ("running",), ("records",), ("settings", "job"), ("prompts", "asking"),
    ("judging", "retrieval"), ("tools",), ("rewards",), ("questions",),
    ("benchmarks", "reading", "synthesis", "world"), ("reporting", "training"),
    ("reproduction",), ("stages",), ("run", "retrieval.search"),
)  # fmt: skip
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def layer(module: str) -> str:
    """Return the package of a module, or the module itself: a command stands above its package."""
    inside = module.removeprefix("tasks.")
    return inside if inside in RANK else inside.split(".")[0]


def modules() -> dict[str, Path]:
    found = {}
    for file in CODE:
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports() -> dict[str, set[str]]:
    """Return the modules of ours that each module imports, also inside functions."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, file in known.items():
        named = graph.setdefault(name, set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                named |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
        graph[name] = (named & known.keys()) - {name}
    return graph


def test_no_module_imports_itself_in_a_circle():
    graph = imports()
    assert sum(map(len, graph.values())) > 300
    TopologicalSorter(graph).prepare()  # raises CycleError and names the circle


def test_inside_tasks_imports_go_down():
    upwards = []
    for name, used in imports().items():
        for other in used:
            if name.startswith("tasks.") and other.startswith("tasks."):
                mine, theirs = layer(name), layer(other)
                if mine != theirs and RANK[theirs] >= RANK[mine]:
                    upwards.append((name, other))
    assert upwards == []


def test_nothing_but_its_stages_knows_the_micro_world():
    users = {n for n, used in imports().items() if any(u.startswith("tasks.world") for u in used)}
    its_stages = ("tasks.world", "tasks.stages.world", "tasks.stages.phase")
    assert {user for user in users if not user.startswith(its_stages)} == set()


def test_of_tasks_two_modules_are_loose():
    loose = {file.name for file in (ROOT / "tasks").glob("*.py")}
    assert loose - {"__init__.py", "settings.py"} == {"run.py", "job.py"}


def test_no_file_is_longer_than_400_lines():
    long = {}
    for file in [*CODE, *(ROOT / "tests").rglob("*.py")]:
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 400:
            long[file.relative_to(ROOT).as_posix()] = lines
    assert long == {}


def test_a_flow_is_at_most_60_lines():
    flows = [file for file in (ROOT / "flows").glob("*.py") if file.name != "__init__.py"]
    assert len(flows) > 1
    assert [file.name for file in flows if len(file.read_text().splitlines()) > 60] == []
