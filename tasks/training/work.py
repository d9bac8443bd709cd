"""`python -m tasks.training.work FOLDER`: one of the processes that train together."""

import signal

from tasks.running.process import be_quiet, die_with_parent

if __name__ == "__main__":
    # Lightning takes SIGTERM and ends after the batch, in which one may wait for another for ever
    die_with_parent(signal.SIGKILL)
    be_quiet()

import argparse  # noqa: E402  (libraries read the switches above when they are imported)
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from datasets import load_from_disk  # noqa: E402

from models.engine.meeting import meet_between_machines, meet_on_one_machine  # noqa: E402
from models.engine.whole import write_whole  # noqa: E402
from tasks.running.errors import UserError, without_trace  # noqa: E402
from tasks.training.fitting import train  # noqa: E402
from tasks.training.launch import run_node  # noqa: E402
from tasks.training.objective import load_order  # noqa: E402
from tasks.training.plan import Plan  # noqa: E402


def _work(folder: Path) -> None:
    """Train in this process, alone or as the one that its variables name."""
    objective, plan = load_order(folder / "order.json")
    if plan.processes > 1:
        _meet(plan, folder)
    dev = load_from_disk(str(folder / "dev")) if (folder / "dev").exists() else None
    report = train(objective, plan, load_from_disk(str(folder / "data")), dev)
    if report:  # the first process's
        write_whole(folder / "report.json", json.dumps(report))
    if plan.processes > 1:
        dist.destroy_process_group()  # one that is left to the exit may abort it


def _meet(plan: Plan, folder: Path) -> None:
    """Join the others before Lightning, accelerate and DeepSpeed look: they take what is there."""
    rank, backend = int(os.environ["RANK"]), "gloo"
    if not plan.on_cpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "nccl"
    if plan.nodes == 1:
        meet_on_one_machine(folder / "store", rank, plan.processes, backend)
        return
    try:
        meet_between_machines(plan.rendezvous, rank, plan.processes, backend)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The machines could not meet at {plan.rendezvous}",
            str(error).split("\n")[0],
            "let `machine.rendezvous` name an address of the first machine and a free port, which "
            "the others can reach",
        ) from error


def main(words: list[str]) -> None:
    """Be one process of the training in a folder, or with `--node N` start all of machine N."""
    parser = argparse.ArgumentParser(prog="python -m tasks.training.work")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--node", type=int, help="number of this machine; the first is 0")
    told = parser.parse_args(words)
    with without_trace():
        if told.node is None:
            _work(told.folder)
        else:
            _, plan = load_order(told.folder / "order.json")
            run_node(plan, told.folder, told.node)


if __name__ == "__main__":
    main(sys.argv[1:])
