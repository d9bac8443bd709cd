"""Draw the micro-world's documents that GCoT adapts to."""

from tasks.job import Job, Metrics
from tasks.settings import Settings


def grounding_world(settings: Settings, job: Job) -> Metrics:
    """Draw the micro-world's documents that GCoT adapts to."""
    from tasks.world.grounding import write_grounding_world

    return {"samples": float(write_grounding_world(job.out, settings.seed))}
