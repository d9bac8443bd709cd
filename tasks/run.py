"""`python -m tasks.run <stage>`: runs one stage of `dvc.yaml`; the only command that DVC knows.

A stage reads finished folders and writes one. It works in `.runtime/scratch/<key>`, where the key
is a hash of all it consumes: a killed attempt is continued there, and nothing reaches `outputs/`
until the stage is complete.
"""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from tasks.running.process import be_quiet, die_with_parent
from tasks.running.warm import run_warm

if __name__ == "__main__":  # what is imported below would take 0.1 s for nothing
    die_with_parent()
    if (status := run_warm(sys.argv[1:])) is not None:
        sys.exit(status)

be_quiet()  # libraries read its switches when they are imported

from models.engine.whole import write_whole  # noqa: E402
from tasks.job import Job, Metrics  # noqa: E402
from tasks.running.closure import is_code  # noqa: E402
from tasks.running.errors import Checked, UserError, without_trace  # noqa: E402
from tasks.running.locks import chain_lock  # noqa: E402
from tasks.running.private import runtime  # noqa: E402
from tasks.running.surroundings import alone  # noqa: E402
from tasks.running.texts import metric_name  # noqa: E402
from tasks.running.yaml_files import parsed  # noqa: E402
from tasks.settings import Settings, load_settings  # noqa: E402

ATTEMPTS = "attempts.json"  # in a stage's scratch folder
SECONDS_BETWEEN_SIGNS = 5


def stage_function(stage: str) -> Callable[[Settings, Job], Metrics]:
    """Return the function of a stage, from the one file that is named like it.

    Raises:
        UserError: There is no such file, or it has no function of that name.
    """
    folder = Path(__file__).parent / "stages"
    flows = [file.parent.name for file in folder.glob(f"*/{stage}.py")]
    if len(flows) != 1:
        raise UserError(
            f"There is no file tasks/stages/<flow>/{stage}.py"
            if not flows
            else f"{len(flows)} files are called {stage}.py below tasks/stages/",
            "the file of a stage is found by the stage's name in dvc.yaml",
            "write it with one function of that name, or correct dvc.yaml",
        )
    function = getattr(import_module(f"tasks.stages.{flows[0]}.{stage}"), stage, None)
    if function is None:
        raise UserError(
            f"tasks/stages/{flows[0]}/{stage}.py has no function {stage}",
            "a stage is the function that is named like its file",
            f"define `def {stage}(settings, job)` there",
        )
    return function


def run_stage(stage: str, root: Path) -> dict[str, float]:
    """Run a stage and move its result to `outputs/<stage>`.

    Returns:
        The stage's metrics, which are also in MLflow and in `outputs/metrics/<stage>.json`.

    Raises:
        UserError: Something that the user can put right.
    """
    settings = load_settings(root / "params.yaml")
    spec = parsed((root / "dvc.yaml").read_text())["stages"]
    if stage not in spec:
        raise UserError(
            f"There is no stage {stage!r}", f"dvc.yaml has {', '.join(spec)}", "name one"
        )

    from tasks.running import tracking

    read = states(root, spec[stage], settings)
    inputs = input_hashes(root, spec[stage], settings)
    sources = source_hash(root, spec[stage])
    key = stage_key(spec[stage], settings, sources, inputs)
    scratch = runtime(root) / "scratch" / f"{stage}-{key}"
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    function = stage_function(stage)
    tracking.use_tracking(root)
    cost = tracking.Cost(settings.machine.rate_per_hour, _earlier_seconds(scratch))
    parameters = parameters_of(spec[stage], settings)
    with (
        _temporary_files_in(scratch),
        _signs_of_life(scratch / ATTEMPTS),
        tracking.stage_run(stage, key, parameters, inputs) as run_id,
    ):
        found = function(settings, Job(root, out, scratch, run_id, cost))
        metrics = {metric_name(name): value for name, value in found.items()}
        _check_unchanged(root, stage, spec[stage], parameters, sources, read)
        spent = cost.summary()
        tracking.finish(out, metrics, spent)
    # costs are no output of the pipeline: they differ every time, and equal results must stay equal
    for folder, facts in (("metrics", metrics), ("costs", spent)):
        file = root / "outputs" / folder / f"{stage}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    publish(out, root / "outputs" / stage)
    for attempt in scratch.parent.glob(f"{stage}-*"):  # of older settings, too
        shutil.rmtree(attempt)
    return metrics


def _earlier_seconds(scratch: Path) -> float:
    """Return how long killed attempts have worked, and note that another one begins.

    Each is counted to its last sign of life: nobody saw when it ended.
    """
    noted = scratch / ATTEMPTS
    seconds, began = json.loads(noted.read_text()) if noted.exists() else (0.0, 0.0)
    if began:
        seconds += max(0.0, noted.stat().st_mtime - began)
    write_whole(noted, json.dumps([seconds, time.time()]))
    return seconds


@contextlib.contextmanager
def _signs_of_life(noted: Path) -> Iterator[None]:
    """Touch a file every few seconds, so that it tells how long a killed attempt has worked."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(SECONDS_BETWEEN_SIGNS):
            with contextlib.suppress(OSError):  # a full disk is told by what writes more
                os.utime(noted)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _temporary_files_in(scratch: Path) -> Iterator[None]:
    """Let libraries keep their temporary files in the stage's own folder meanwhile.

    $TMPDIR may be memory or a small disk, and nobody would tidy it up after a kill.
    """
    folder, before = scratch / "tmp", os.environ.get("TMPDIR")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = None
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before


def _check_unchanged(
    root: Path,
    stage: str,
    spec: dict[str, Any],
    parameters: dict[str, Any],
    sources: str,
    read: dict[str, Any],
) -> None:
    """Compare what a stage has used with what is there now, which DVC would record as used.

    Raises:
        UserError: A source file, a setting or an input is another than at the start.
    """
    settings = load_settings(root / "params.yaml")
    now = parameters_of(spec, settings)
    changed = [name for name in now if now[name] != parameters.get(name)]
    found = states(root, spec, settings)
    changed += [dep for dep in found if found[dep] != read.get(dep)]
    if source_hash(root, spec) != sources:
        changed.append("a source file")
    if changed:
        raise UserError(
            f"What {stage} depends on changed while it ran: {', '.join(changed)}",
            "DVC would record what is there now as what this result was made from",
            "start the stage again",
        )


def states(root: Path, spec: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return sizes and times of the files of each data set and folder that a stage reads."""
    found = {}
    for dep in (named(dep, settings) for dep in _deps(spec)):
        path = root / dep
        if is_code(dep) or not path.exists():  # sources are compared by their content
            continue
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        facts = [(str(file), file.stat()) for file in files if file.is_file()]
        found[dep] = [(name, fact.st_size, fact.st_mtime_ns) for name, fact in facts]
    return found


def publish(out: Path, final: Path) -> None:
    """Move a finished folder to its place: all of it or nothing, from another disk as well.

    The folder of before is there until the moment in which the new one is.
    """
    beside = final.with_name(f".{final.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.move(out, beside)  # copies where the disks differ
    if final.exists():
        _exchange(beside, final)
        shutil.rmtree(beside)
    else:
        os.replace(beside, final)


def _exchange(a: Path, b: Path) -> None:
    """Give two folders each other's name at once; one after the other where there is no such call.

    Some file systems (NFS) lack it: there a kill in between leaves the old folder under a name of
    its own.
    """
    here, exchanged = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of rename(2)
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None or rename(here, os.fsencode(a), here, os.fsencode(b), exchanged):
        old = b.with_name(f".{b.name}.before")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(b, old)
        os.replace(a, b)
        os.replace(old, a)


def check_stage(stage: str, root: Path) -> dict[str, float]:
    """Forecast a training stage from its first steps; nothing is kept and nothing is logged.

    Returns:
        Seconds per step and in all, peak memory and money.

    Raises:
        UserError: The stage trains nothing, or cannot start.
    """
    settings = load_settings(root / "params.yaml")
    spec = parsed((root / "dvc.yaml").read_text())["stages"]
    trained = [name for name in spec if "trainer" in spec[name].get("params", [])]
    if stage not in trained:
        raise UserError(
            f"{stage} cannot be checked", "it trains no model", f"name one of {', '.join(trained)}"
        )

    from tasks.running import tracking

    # beside those of real attempts, and not in $TMPDIR, which may be memory
    parent = runtime(root) / "scratch"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{stage}-check-", dir=parent) as folder:
        scratch = Path(folder)
        cost = tracking.Cost(settings.machine.rate_per_hour)
        try:
            stage_function(stage)(
                settings, Job(root, scratch / "out", scratch, "", cost, check=True)
            )
        except Checked as checked:
            return checked.forecast
    raise AssertionError(f"{stage} trained without being checked")


def parameters_of(spec: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the settings that a stage depends on, flat: `{"policy_grpo.steps": 100, ...}`."""
    from tasks.running.tracking import flat

    values = flat(settings.model_dump(mode="json"))
    wanted = tuple(spec.get("params", []))
    return {
        name: value
        for name, value in values.items()
        if name in wanted or name.startswith(tuple(f"{section}." for section in wanted))
    }


def input_hashes(root: Path, spec: dict[str, Any], settings: Settings) -> dict[str, str]:
    """Return DVC's hash of every model, data set and folder that a stage reads, by its name.

    What a setting names is hashed here: `dvc.lock` knows it only when the stage has ended.
    """
    from tasks.running.hashes import content_hash
    from tasks.running.tracking import dvc_hashes

    known, found = dvc_hashes(root), {}
    for dep in _deps(spec):
        name = named(dep, settings)
        if name != dep and (root / name).exists():
            found[name] = content_hash(root / name, root)
        elif name in known:
            found[name] = known[name]
    return found


def stage_key(
    spec: dict[str, Any], settings: Settings, sources: str, inputs: dict[str, str]
) -> str:
    """Return a hash of everything that a stage consumes: code, settings, input data."""
    facts = json.dumps([sources, inputs, parameters_of(spec, settings)], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def named(dep: str, settings: Settings) -> str:
    """Return a dependency of dvc.yaml with the setting that it names put in.

    >>> named("${reinforced.model}", Settings()), named("outputs/shots", Settings())
    ('outputs/habits', 'outputs/shots')
    """
    found = re.fullmatch(r"\$\{([\w.]+)\}", dep)
    return str(attrgetter(found[1])(settings)) if found else dep


def source_hash(root: Path, spec: dict[str, Any]) -> str:
    """Return a hash of the source files among a stage's dependencies."""
    digest = hashlib.sha256()
    for dep in _deps(spec):
        if not is_code(dep):
            continue
        path = root / dep
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def _deps(spec: dict[str, Any]) -> list[str]:
    return [dep if isinstance(dep, str) else next(iter(dep)) for dep in spec.get("deps", [])]


def number(value: float) -> str:
    """Return a figure for people: counts whole, all else to four digits.

    >>> number(13160.0), number(0.92917)
    ('13,160', '0.9292')
    """
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"


def main() -> None:
    """Run the stage named on the command line; errors to act on are printed without a trace.

    Raises:
        SystemExit: With a message, where the user can act; another chain is at work, for one.
    """
    parser = argparse.ArgumentParser(prog="python -m tasks.run", description=__doc__)
    parser.add_argument("stage")
    parser.add_argument(
        "--check", action="store_true", help="take three steps, forecast time, memory and money"
    )
    asked = parser.parse_args()
    root = Path.cwd()
    alone()
    with without_trace():
        if asked.check:
            metrics = check_stage(asked.stage, root)
        else:
            with chain_lock(root, f"stage {asked.stage}"):
                metrics = run_stage(asked.stage, root)
    print("  ".join(f"{name} {number(value)}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
