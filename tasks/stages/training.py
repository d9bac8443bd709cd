"""What the stages that train have in common: the plan, looks in between, the curve."""

import json
from typing import Any

from tasks.job import Job, Metrics
from tasks.records.choosing import Fewer, Kind, fewer, hold_out
from tasks.settings import Settings
from tasks.training.plan import Plan

Overrides = dict[str, Any]  # what a plan says instead of the trainer's settings


def planned(settings: Settings, job: Job, model: str, steps: int, batch: int, **more: Any) -> Plan:
    """Return the plan of a stage's training.

    Args:
        more: Further fields of the plan, some of which the trainer's settings hold as well.
    """
    job.cost.devices = settings.trainer.devices * settings.trainer.nodes
    fields = settings.trainer.model_dump() | more
    machine = settings.machine.model_dump(exclude={"processes"})
    return Plan(
        model=model,
        steps=steps,
        batch=batch,
        seed=settings.seed,
        out=str(job.out),
        scratch=str(job.scratch),
        run_id=job.run_id,
        device=settings.device,
        check=job.check,
        **machine,
        **fields,
    )


def trained(job: Job, history: list[dict[str, float]], samples: int) -> Metrics:
    """Keep a training's curve; return the mean of its last ten steps, as `trained/…`.

    `train/…` are the steps themselves: a mean under the same name would be another value of it, and
    one more point of its curve.
    """
    write_history(job, history, samples)
    last = history[-10:]
    names = sorted({name for row in last for name in row if name.startswith("train/")})
    held = {name: [row[name] for row in last if name in row] for name in names}
    return {
        f"trained/{name.removeprefix('train/')}": sum(values) / len(values)
        for name, values in held.items()
    }


def write_history(job: Job, history: list[dict[str, float]], samples: int) -> None:
    """Keep a training's curve and count what it used."""
    (job.out / "history.json").write_text(json.dumps(history) + "\n")
    tokens = max((row.get("train/num_tokens", 0) for row in history), default=0)
    job.cost.add(samples, int(tokens))


def with_looks(settings: Settings, rows: list, kind: Kind) -> tuple[list, list, Overrides, Fewer]:
    """Hold some rows out, where the trainer is to look at some and the data has no dev rows.

    Returns:
        The rows to learn from and those to look at; what the trainer is told instead, where there
        are none; and what was to be looked at and is not there.
    """
    if not settings.trainer.evaluate_every:
        return rows, [], {}, {}
    rows, dev = hold_out(rows, settings.trainer.evaluated, kind)
    looks = {} if dev else {"evaluate_every": 0, "patience": 0}
    return rows, dev, looks, fewer_looks(settings, dev)


def fewer_looks(settings: Settings, dev: list) -> Fewer:
    """Say where there is less to look at than the settings ask for."""
    if not settings.trainer.evaluate_every:
        return {}
    return fewer("trainer.evaluated", settings.trainer.evaluated, len(dev))
