"""Draw the micro-world's few-shot sets."""

from tasks.job import Job, Metrics
from tasks.settings import Settings


def few_shot_world(settings: Settings, job: Job) -> Metrics:
    """Draw the micro-world's few-shot sets."""
    from tasks.world.few_shot import write_few_shot_world

    return {"samples": float(write_few_shot_world(job.out, settings.seed))}
