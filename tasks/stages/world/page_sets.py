"""Draw the pages of Light-ColPali's experiment, with all that it asks about them."""

from tasks.job import Job, Metrics
from tasks.settings import Settings


def page_sets(settings: Settings, job: Job) -> Metrics:
    """Draw the pages of Light-ColPali's experiment, with all that it asks about them."""
    from tasks.world.page_sets import write_page_sets

    s = settings.page_sets
    sizes = {"train": s.train_pages, "dev": s.dev_pages, "test": s.test_pages}
    drawn = write_page_sets(job.out, settings.seed + 2, sizes, s.near_misses)
    return {split: float(number) for split, number in drawn.items()}
