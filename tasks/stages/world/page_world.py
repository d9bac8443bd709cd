"""Draw the micro-world's pages, and questions that one of them answers."""

from tasks.job import Job, Metrics
from tasks.settings import Settings


def page_world(settings: Settings, job: Job) -> Metrics:
    """Draw the micro-world's pages, and questions that one of them answers."""
    from tasks.world.pages import write_page_world

    s = settings.page_world
    sizes = {"train": s.train_pages, "dev": s.dev_pages, "test": s.test_pages}
    return {"pages": float(write_page_world(job.out, settings.seed, sizes, s.near_misses))}
