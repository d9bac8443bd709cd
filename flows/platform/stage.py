"""The one bridge between a Prefect task and a DVC stage.

A task runs `dvc repro -s <stage>` in its own process group and streams its output. DVC decides
whether there is anything to do, so a flow after `dvc repro` skips every stage and `dvc repro` after
a flow does nothing. Prefect's own cache stays off: there is one cache, and it is DVC's.
"""

import itertools
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed, State

from flows.platform import terminal
from tasks.running import private
from tasks.running.process import as_child, stop
from tasks.running.texts import printable
from tasks.running.tracking import PARENT

ROOT = Path(__file__).resolve().parents[2]
OUTCOMES = {
    "skipped": re.compile(r"^Stage '.*' didn't change, skipping"),
    "restored": re.compile(r"^Stage '.*' is cached - skipping run"),
    "ran": re.compile(r"^Running stage '"),
}
# what DVC advises after each stage, and does not fit here: stages are nobody's to add or push
HINTS = (
    "To track the changes with git, run:",
    "To enable auto staging, run:",
    "git add dvc.lock",
    "dvc config core.autostage true",
    "Use `dvc push` to send your updates to remote storage.",
)
_at_work: list[subprocess.Popen] = []  # those of `reproduce`
_stopped = threading.Event()
PROGRESS = re.compile(r"\b(\d+) of (\d+)\b")  # as `tasks.running.progress` and trainings print it


class StageFailed(RuntimeError):
    """A stage ended with an error; the message is what it said."""


@task(cache_policy=NO_CACHE, task_run_name="{stage}")
def run_stage(
    stage: str, parent_run: str, unchanged: bool = False, root: Path = ROOT
) -> str | State:
    """Bring one stage up to date.

    Args:
        parent_run: The MLflow run of the chain.
        unchanged: DVC was asked already, and there is nothing to do (see `unchanged_stages`).

    Returns:
        "ran", "restored" (from DVC's run cache) or "skipped" (nothing changed); a failed state with
        the stage's own message, because a trace of this bridge would tell a user nothing.
    """
    said = get_run_logger()
    if unchanged:
        said.info(terminal.line_of(stage, "skipped", 0, root), extra=terminal.SHOWN)
        return "skipped"
    progress = create_progress_artifact(
        0.0, key=stage.replace("_", "-"), description="How far the stage's longest loop is"
    )
    began, log = time.monotonic(), private.runtime(root) / "logs" / f"{stage}.log"
    log.parent.mkdir(exist_ok=True)
    with terminal.bar() as bar, log.open("w") as kept:
        shown = bar.add_task(stage, total=None)

        def follow(line: str) -> None:
            line = printable(line)
            print(line, file=kept, flush=True)
            said.log(logging.WARNING if line.startswith("WARNING: ") else logging.INFO, line)
            if (found := PROGRESS.search(line)) and int(found[2]):
                done, total = int(found[1]), int(found[2])
                update_progress_artifact(progress, 100 * min(1.0, done / total))
                bar.update(shown, completed=done, total=total)

        try:
            outcome = reproduce(stage, root, follow, {PARENT: parent_run})
            if outcome == "restored" and (damaged := forget_damaged(stage, root)):
                said.warning("Damaged in DVC's cache, so made again: %s", ", ".join(damaged))
                outcome = reproduce(stage, root, follow, {PARENT: parent_run})
        except StageFailed as error:
            return Failed(message=printable(f"{error}\nAll that it said is in {log}"))
    update_progress_artifact(progress, 100.0)
    said.info(
        terminal.line_of(stage, outcome, time.monotonic() - began, root), extra=terminal.SHOWN
    )
    return outcome


def unchanged_stages(stages: Sequence[str], root: Path = ROOT) -> set[str]:
    """Return the stages before the first one with something to do.

    One question to DVC instead of one per stage (0.9 s each). Where DVC cannot answer, nothing is
    said to be unchanged, and the stage that it stumbles over will tell why.
    """
    asked = subprocess.run(
        [sys.executable, "-m", "tasks.running.process", "status", "--json", *stages],
        cwd=root,
        env=os.environ | as_child() | stage_environment(root),
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        return set()
    changed = json.loads(asked.stdout)
    return set(itertools.takewhile(lambda stage: stage not in changed, stages))


def forget_damaged(stage: str, root: Path) -> list[str]:
    """Hash what DVC has restored from its cache, which it trusts; see `tasks.running.pull`."""
    asked = subprocess.run(
        [sys.executable, "-m", "tasks.running.pull", "--check", stage],
        cwd=root,
        env=os.environ | as_child() | stage_environment(root),
        capture_output=True,
        text=True,
    )
    return asked.stdout.split("\n")[:-1] if not asked.returncode and asked.stdout.strip() else []


def reproduce(
    stage: str, root: Path, log: Callable[[str], object], environment: dict[str, str]
) -> str:
    """Run `dvc repro -s` for a stage and stream its lines to `log`; see `run_stage`."""
    command = [
        sys.executable,
        "-m",
        "tasks.running.process",
        "--wait-for-lock",
        "repro",
        "-s",
        stage,
    ]
    process = subprocess.Popen(
        command,
        cwd=root,
        env=os.environ | environment | as_child() | stage_environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        start_new_session=True,
    )
    outcome, tail = "skipped", []
    _at_work.append(process)
    try:
        for line in process.stdout:
            line = line.rstrip()
            if not line or line.strip() in HINTS:
                continue
            outcome = next((o for o, sign in OUTCOMES.items() if sign.match(line)), outcome)
            tail = [*tail, line][-40:]
            log(line)
        code = process.wait()
    except BaseException:
        stop(process)
        raise
    finally:
        _at_work.remove(process)
    if code:
        raise StageFailed(f"Stage {stage} failed (exit status {code}):\n" + "\n".join(tail))
    return outcome


def was_stopped() -> bool:
    """Return whether somebody asked this process to end its stages."""
    return _stopped.is_set()


def stop_current() -> None:
    """End the stages that this process runs, from another thread."""
    _stopped.set()
    for process in list(_at_work):
        stop(process)


def stage_environment(root: Path) -> dict[str, str]:
    """Return the variables with which `python` in dvc.yaml is this interpreter."""
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return {"PATH": search, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
