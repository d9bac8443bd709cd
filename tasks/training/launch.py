"""Trains in several processes: torchrun as a child that streams its lines and ends with its parent.

A child, because accelerate's picture of the processes is one per process, and the stage itself
stays a single one that DVC, MLflow and Prefect know.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset, load_from_disk

from models.whole import write_whole
from tasks.errors import UserError, without_trace
from tasks.process import be_quiet, die_with_parent
from tasks.training.plan import Plan


def train_in_processes(plan: Plan, data: Dataset, dev: Dataset | None) -> dict[str, Any]:
    """Run `fitting.train` in `plan.processes` processes.

    Returns:
        What the first process reported.

    Raises:
        UserError: A process failed; what it said is above in the log.
    """
    folder = Path(plan.scratch) / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    data.save_to_disk(folder / "data")
    if dev is not None:
        dev.save_to_disk(folder / "dev")
    plan.save(folder / "plan.json")
    group = ["--standalone"]
    if plan.nodes > 1:
        group = ["--rdzv-backend=c10d", f"--rdzv-endpoint={plan.rendezvous}"]
    command = [
        sys.executable, "-m", "tasks.training.launch", "start", *group, f"--nnodes={plan.nodes}",
        f"--nproc-per-node={plan.devices}", "-m", "tasks.training.launch", "work", str(folder),
    ]  # fmt: skip
    if plan.nodes > 1:
        print(f"on each other node, in this folder, run: {' '.join(command)}", flush=True)
    if code := subprocess.run(command).returncode:
        raise UserError(
            f"Training in {plan.processes} processes failed",
            f"torchrun ended with status {code}; the first error above is the cause",
            "correct it and start again; with the same settings it continues where it stopped",
        )
    return json.loads((folder / "report.json").read_text())


def _work(folder: Path) -> None:
    from tasks.training.fitting import train

    dev = load_from_disk(str(folder / "dev")) if (folder / "dev").exists() else None
    report = train(Plan.load(folder / "plan.json"), load_from_disk(str(folder / "data")), dev)
    if report:  # the first process's
        write_whole(folder / "report.json", json.dumps(report))


if __name__ == "__main__":
    die_with_parent()
    be_quiet()
    if sys.argv[1] == "start":
        from torch.distributed.run import main

        main(sys.argv[2:])
    else:
        with without_trace():
            _work(Path(sys.argv[2]))
