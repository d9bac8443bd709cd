"""Draw the micro-world's pairs for a judge that thinks, with the traces of a flawed teacher."""

from tasks.job import Job, Metrics
from tasks.settings import Settings


def thinking_world(settings: Settings, job: Job) -> Metrics:
    """Draw the micro-world's pairs for a judge that thinks, with traces of a flawed teacher."""
    from tasks.world.thinking import write_thinking_world

    s = settings.thinking_world
    sizes = {"train": s.train_pairs, "dev": s.dev_pairs, "test": s.test_pairs}
    return {"samples": float(write_thinking_world(job.out, settings.seed, sizes))}
