"""Draw the micro-world's scenes with a habit."""

from tasks.job import Job, Metrics
from tasks.settings import Settings


def caption_world(settings: Settings, job: Job) -> Metrics:
    """Draw the micro-world's scenes with a habit."""
    from tasks.world.caption_samples import write_caption_world

    return {"samples": float(write_caption_world(job.out, settings.seed))}
