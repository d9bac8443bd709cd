"""`python -m tasks.running.closure`: writes into dvc.yaml what each stage's code depends on.

A stage depends on the files that its own file imports, and those import, with the prompts and the
templates that they name. Not on how a stage is run: `EXEMPT`. Run it with `make deps`.
"""

import ast
import functools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tasks.running.errors import UserError, without_trace
from tasks.running.yaml_files import parsed

ROOT = Path(__file__).resolve().parents[2]
EXEMPT = ("tasks/running/", "tasks/settings", "tasks/run.py", "tasks/job.py")
# Named whole: what they hold is stable, or all of it is one flow's own. The others by file: one of
# a stage's rewards, prompts or benchmarks changes without the others.
FOLDERS = (
    "models/engine", "models/prefix", "models/tiny", "models/vlm", "tasks/asking",
    "tasks/questions", "tasks/reading", "tasks/records", "tasks/reporting",
    "tasks/world",
)  # fmt: skip
TEMPLATE = re.compile(r"""\{%-?\s*(?:include|import|from|extends)\s+["']([\w.-]+)["']""")
MODULE = re.compile(r"(?:tasks|models)(?:\.\w+)+")
# a stage of dvc.yaml: its name, what comes before its dependencies, and those
STAGE = re.compile(
    r"^  (\w+):((?:(?!^  \w|^    deps:).)*?)(^    deps:.*?\n)(?=^    \w)", re.MULTILINE | re.DOTALL
)
WIDTH = 110


def closure(file: Path, root: Path = ROOT) -> set[str]:
    """Return what a stage's result depends on among the sources, itself included.

    >>> sorted(closure(ROOT / "tasks/records/boxes.py"))
    ['tasks/records/boxes.py']

    Raises:
        UserError: A prompt or a template is named by a variable.
    """
    found: set[str] = set()
    todo = [file]
    while todo:
        file = todo.pop()
        name = file.relative_to(root).as_posix()
        if name in found or name.startswith(EXEMPT) or _is_docstring_alone(file):
            continue
        found.add(name)
        if file.suffix == ".py":
            todo += _used(file, root)
        elif file.suffix == ".j2":
            todo += [file.parent / used for used in TEMPLATE.findall(file.read_text())]
    return found


def dependencies(stage: str, root: Path = ROOT) -> list[str]:
    """Return the code dependencies of a stage as dvc.yaml names them: folders, and single files."""
    [file] = (root / "tasks" / "stages").glob(f"*/{stage}.py")
    return sorted({_named(name) for name in closure(file, root)})


def is_code(dep: str) -> bool:
    """Return whether a dependency of dvc.yaml is a source, and not data or another stage's."""
    return dep.startswith(("tasks/", "models/"))


def write(root: Path = ROOT) -> list[str]:
    """Write the code dependencies of every stage; all else in dvc.yaml stays as it is.

    Returns:
        The stages whose dependencies have changed.
    """
    file, changed = root / "dvc.yaml", []

    def written(found: re.Match) -> str:
        stage, before, block = found[1], found[2], found[3]
        given = parsed(block)["deps"]
        wanted = dependencies(stage, root) + [dep for dep in given if not is_code(dep)]
        if wanted != given:
            changed.append(stage)
        return f"  {stage}:{before}{_block(wanted)}"

    file.write_text(STAGE.sub(written, file.read_text()))
    return changed


def _block(deps: list[str]) -> str:
    quoted = ", ".join(f'"{dep}"' if "$" in dep else dep for dep in deps)
    lines = textwrap.wrap(
        f"deps: [{quoted}]", WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 6,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(lines) + "\n"


def _used(file: Path, root: Path) -> tuple[Path, ...]:
    """Return the files that a module imports anywhere, and the prompts and templates it names."""
    return _read(file, root, file.stat().st_mtime_ns)


@functools.cache  # all stages share most of their files
def _read(file: Path, root: Path, _: int) -> tuple[Path, ...]:
    return tuple(_named_in(file, root))


def _named_in(file: Path, root: Path) -> Iterator[Path]:
    tree = ast.parse(file.read_text(), str(file))
    asks = set()  # what the function is called here that renders a prompt
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(alias.name, root)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _modules(node.module, root)
            for alias in node.names:
                yield from _modules(f"{node.module}.{alias.name}", root)
                if (node.module, alias.name) == ("tasks.prompts", "prompt"):
                    asks.add(alias.asname or alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and MODULE.fullmatch(str(node.value)):
            yield from _modules(node.value, root)  # a process that is started with it
        if not isinstance(node, ast.Call):
            continue
        called, named = ast.unparse(node.func), node.args[0] if node.args else node
        if called in asks:
            yield root / "tasks" / "prompts" / f"{_literal(named, file, 'prompt')}.txt"
        elif called.endswith(".get_template"):
            yield root / "tasks" / "reporting" / _literal(named, file, "template")


def _literal(node: ast.expr, file: Path, what: str) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise UserError(
        f"{file.name}, line {node.lineno}, names a {what} by a variable",
        "what a stage depends on is read from its sources, which then cannot say which file it is",
        f"write the name of the {what} out where it is asked for",
    )


def _modules(name: str, root: Path) -> Iterator[Path]:
    """Yield the file of a module of ours, and those of the packages around it."""
    parts = name.split(".")
    if parts[0] not in ("tasks", "models"):
        return
    for i in range(1, len(parts) + 1):
        path = root.joinpath(*parts[:i])
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.exists():
                yield file


def _is_docstring_alone(file: Path) -> bool:
    if file.name != "__init__.py":
        return False
    body = ast.parse(file.read_text()).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def _named(name: str) -> str:
    return next((folder for folder in FOLDERS if name.startswith(f"{folder}/")), name)


if __name__ == "__main__":
    with without_trace():
        told = write()
    print(f"changed: {', '.join(told)}" if told else "dvc.yaml says what the sources do")
