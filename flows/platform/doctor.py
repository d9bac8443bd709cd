"""Finds and repairs what a kill left behind: `make doctor`; `make up` does the same when it starts.

A flow, a stage, a server or the whole machine can die at any moment. What they leave then: flow
runs that Prefect believes to be running, MLflow runs that are not ended, DVC's list of readers and
writers with processes that are gone, or torn in the middle of a line, and databases that a dying
disk has damaged. Finished results and checkpoints are never touched: the next run goes on from
them.
"""

import contextlib
import json
import os
import time
from pathlib import Path

from tasks.running.process import be_quiet, is_alive, process_of

be_quiet()

import psutil  # noqa: E402  (libraries read the switches above when they are imported)
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter  # noqa: E402
from prefect.client.schemas.objects import StateType  # noqa: E402
from prefect.states import Crashed  # noqa: E402
from zc.lockfile import LockError, LockFile  # noqa: E402

import mlflow  # noqa: E402
from flows.platform.databases import move_damaged_aside  # noqa: E402
from flows.platform.servers import own_server  # noqa: E402
from flows.platform.stage import ROOT  # noqa: E402
from models.engine.whole import write_whole  # noqa: E402
from tasks.running import tracking  # noqa: E402
from tasks.running.errors import without_trace  # noqa: E402
from tasks.running.locks import Taken, take  # noqa: E402
from tasks.running.private import runtime  # noqa: E402

UNENDED = ("RUNNING", "SCHEDULED")
TRIES = 20  # to get DVC's lock, which it keeps for milliseconds
UNDER_WAY = (StateType.RUNNING, StateType.CANCELLING, StateType.PENDING)


def repair(root: Path = ROOT) -> list[str]:
    """Repair everything, and return a line for each thing that was put right."""
    tracking.use_tracking(root)
    return [
        *repair_dvc(root),
        *repair_flow_runs(),
        *repair_mlflow_runs(),
    ]


def repair_mlflow_runs() -> list[str]:
    """End MLflow runs whose process is gone; a stage that is started again reopens its own."""
    client = mlflow.MlflowClient()
    told = []
    for run in _unended_runs(client):
        if not is_alive(run.data.tags.get(tracking.PROCESS, "")):
            client.set_terminated(run.info.run_id, "KILLED")
            told.append(f"MLflow run {run.info.run_name}: its process is gone; ended as KILLED")
    return told


def repair_flow_runs() -> list[str]:
    """Mark flow runs as crashed that Prefect believes to be running and whose process is gone.

    A run that a team's worker took may be of another machine: it is left alone until its own run in
    MLflow says whose it is. So is one that may just be starting, and has no such run yet.
    """
    starting = {
        StateType.PENDING: _held_by_another("up.lock"),
        StateType.RUNNING: _held_by_another("chain.lock"),
    }
    processes = {
        run.data.tags.get("prefect.flow_run_id"): run.data.tags.get(tracking.PROCESS, "")
        for run in _unended_runs(mlflow.MlflowClient())
    }
    told = []
    with get_client(sync_client=True) as client:
        unended = TaskRunFilter.model_validate({"state": {"type": {"any_": list(UNDER_WAY)}}})
        under_way = FlowRunFilter(state={"type": {"any_": list(UNDER_WAY)}})
        for run in client.read_flow_runs(flow_run_filter=under_way):
            process = processes.get(str(run.id))
            elsewhere = run.work_pool_name or starting.get(run.state_type)
            if not (process is None and elsewhere) and not is_alive(process or ""):
                state = Crashed(message="The process that ran this flow is gone.")
                client.set_flow_run_state(run.id, state, force=True)
                ours = FlowRunFilter.model_validate({"id": {"any_": [run.id]}})
                for task in client.read_task_runs(flow_run_filter=ours, task_run_filter=unended):
                    client.set_task_run_state(task.id, state, force=True)
                told.append(f"Flow run {run.name}: its process is gone; marked as crashed")
    return told


def repair_dvc(root: Path) -> list[str]:
    """Remove readers and writers that are gone from DVC's list; remove the list if it is torn."""
    file = root / ".dvc" / "tmp" / "rwlock"
    if not file.exists():
        return []
    guard = _dvcs_guard(file)
    if guard is None:
        return ["DVC is writing its list of readers and writers; it was left alone"]
    try:
        return _repair_list(file)
    finally:
        guard.close()


def _dvcs_guard(file: Path) -> LockFile | None:
    """Take the lock under which DVC changes its list; None while it keeps it for long."""
    for _ in range(TRIES):
        with contextlib.suppress(LockError):
            return LockFile(str(file.with_name("rwlock.lock")))
        time.sleep(0.1)
    return None


def _repair_list(file: Path) -> list[str]:
    try:
        held = json.loads(file.read_text())
        left = {
            "write": {p: who for p, who in held.get("write", {}).items() if _at_work(who)},
            "read": {
                path: [who for who in all_ if _at_work(who)]
                for path, all_ in held.get("read", {}).items()
                if any(_at_work(who) for who in all_)
            },
        }
    except (ValueError, AttributeError, TypeError, KeyError):
        file.unlink()
        return ["DVC's list of readers and writers was torn by a kill; removed"]
    gone = _entries(held) - _entries(left)
    if gone:
        write_whole(file, json.dumps(left))
        return [f"DVC still listed {gone} readers or writers that are gone; removed"]
    return []


def _held_by_another(lock: str) -> bool:
    """Return whether somebody who did not start this doctor holds a lock of the checkout."""
    try:
        take(ROOT / ".runtime" / lock, "a look of the doctor's").close()
    except Taken as taken:
        holder = process_of(taken.by)
        return holder is None or holder.pid not in (os.getpid(), os.getppid())
    return False


def _entries(held: dict) -> int:
    return len(held.get("write", {})) + sum(map(len, held.get("read", {}).values()))


def _at_work(who: dict) -> bool:
    """True if the process is there and is DVC: numbers are given out again."""
    try:
        command = psutil.Process(int(who["pid"])).cmdline()
    except psutil.Error:
        return False
    return any("dvc" in part or "tasks.running.process" in part for part in command)


def _unended_runs(client: mlflow.MlflowClient) -> list:
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    runs = client.search_runs(
        [experiment.experiment_id], "attributes.status = 'RUNNING'", max_results=1000
    )
    return [run for run in runs if run.info.status in UNENDED]


def main() -> None:
    """Repair everything and say what was done."""
    with without_trace():
        told = move_damaged_aside(runtime(ROOT))
        own_server()
        told += repair()
    print("\n".join(told) if told else "Nothing to repair.")


if __name__ == "__main__":
    main()
