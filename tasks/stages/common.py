"""What the stages have in common: models, coordinates, trainings."""

import json
from typing import Any

from tasks.asking.coordinates import Coordinates
from tasks.asking.local import open_model_processor
from tasks.job import Job, Metrics
from tasks.running import registry
from tasks.settings import Settings
from tasks.training.plan import Plan

EMBEDDED = {"outputs/base": "base", "outputs/habits": "habits"}  # models that stages make


def model_of(name: str, job: Job) -> str:
    """Return the folder or id of a model that a setting names."""
    if name in EMBEDDED:
        return str(job.input(EMBEDDED[name]))
    if name.startswith(registry.SCHEME):
        return str(registry.fetch(name, job.root))
    local = job.root / name
    return str(local) if local.exists() else name


def coordinates(settings: Settings, model: str) -> Coordinates:
    """Return what the model's coordinates mean; pixels need the model's own processor."""
    processor = None if settings.coordinates else open_model_processor(model)
    return Coordinates(settings.coordinates, processor)


def planned(settings: Settings, job: Job, model: str, steps: int, batch: int, **more: Any) -> Plan:
    """Return the plan of a stage's training.

    Args:
        more: Further fields of the plan, some of which the trainer's settings hold as well.
    """
    job.cost.devices = settings.trainer.devices * settings.trainer.nodes
    fields = settings.trainer.model_dump() | more
    return Plan(
        model=model,
        steps=steps,
        batch=batch,
        seed=settings.seed,
        out=str(job.out),
        scratch=str(job.scratch),
        run_id=job.run_id,
        device=settings.device,
        rate_per_hour=settings.rate_per_hour,
        check=job.check,
        **fields,
    )


def trained(job: Job, history: list[dict[str, float]], samples: int) -> Metrics:
    """Keep a training's curve; return the mean of its last ten steps."""
    write_history(job, history, samples)
    last = history[-10:]
    names = {name for row in last for name in row if name.startswith("train/")}
    return {
        name: sum(row[name] for row in last if name in row) / sum(name in row for row in last)
        for name in sorted(names)
    }


def write_history(job: Job, history: list[dict[str, float]], samples: int) -> None:
    """Keep a training's curve and count what it used."""
    (job.out / "history.json").write_text(json.dumps(history) + "\n")
    tokens = max((row.get("train/num_tokens", 0) for row in history), default=0)
    job.cost.add(samples, int(tokens))
