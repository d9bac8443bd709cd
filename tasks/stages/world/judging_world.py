"""Draw the micro-world's judgements."""

from tasks.job import Job, Metrics
from tasks.settings import Settings


def judging_world(settings: Settings, job: Job) -> Metrics:
    """Draw the micro-world's judgements."""
    from tasks.world.judging import write_judging_world

    s = settings.judging_world
    sizes = {"train": s.train_items, "dev": s.dev_items, "test": s.test_items}
    return {"samples": float(write_judging_world(job.out, settings.seed, sizes))}
