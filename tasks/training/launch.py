"""Trains in several processes: children that stream their lines and end with their parent.

Children, because accelerate's picture of the processes is one per process, and the stage itself
stays a single one that DVC, MLflow and Prefect know.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from datasets import Dataset

from tasks.running.errors import UserError
from tasks.running.process import SECONDS_TO_STOP, as_child
from tasks.training.objective import Objective, save_order
from tasks.training.plan import Plan


def train_in_processes(
    objective: Objective, plan: Plan, data: Dataset, dev: Dataset | None
) -> dict[str, Any]:
    """Run `fitting.train` in `plan.processes` processes.

    Returns:
        What the first process reported.

    Raises:
        UserError: A process failed; what it said is above in the log.
    """
    folder = Path(plan.scratch) / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    data.save_to_disk(folder / "data")
    if dev is not None:
        dev.save_to_disk(folder / "dev")
    save_order(folder / "order.json", objective, plan)
    for node in range(1, plan.nodes):
        command = shlex.join([*_command(folder), "--node", str(node)])
        print(f"on machine {node}, in this folder, run: {command}", flush=True)
    run_node(plan, folder, 0)
    return json.loads((folder / "report.json").read_text())


def run_node(plan: Plan, folder: Path, node: int) -> None:
    """Run the processes of one machine; when one fails, the others are ended.

    Raises:
        UserError: A process failed.
    """
    processes: dict[int, subprocess.Popen] = {}
    try:
        for number in range(plan.devices):
            rank = node * plan.devices + number
            place = {
                "RANK": rank, "WORLD_SIZE": plan.processes, "NODE_RANK": node,
                "LOCAL_RANK": number, "LOCAL_WORLD_SIZE": plan.devices,
            }  # fmt: skip
            told = as_child() | {name: str(value) for name, value in place.items()}
            processes[rank] = subprocess.Popen(_command(folder), env=os.environ | told)
        while any(process.poll() is None for process in processes.values()):
            if any(process.returncode for process in processes.values()):
                break
            time.sleep(0.05)
        failed = {rank: p.returncode for rank, p in processes.items() if p.returncode}
    finally:
        _end(list(processes.values()))
    if failed:
        rank, status = next(iter(failed.items()))
        raise UserError(
            f"Training in {plan.processes} processes failed",
            f"process {rank} ended with status {status}; the first error above is the cause",
            "correct it and start again; with the same settings it continues where it stopped",
        )


def _command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "tasks.training.work", str(folder)]


def _end(processes: list[subprocess.Popen]) -> None:
    """End those that still run: politely first, but one may wait for another for ever."""
    deadline = time.monotonic() + SECONDS_TO_STOP
    for process in processes:
        process.terminate()  # does nothing to one that has ended
    for process in processes:
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
