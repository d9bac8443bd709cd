"""Read the data set, check every record, set aside what cannot be used."""

from tasks.job import Job, Metrics
from tasks.reading.dataset import read_dataset
from tasks.reading.held_out import check_held_out
from tasks.reading.preview import write_samples
from tasks.settings import Settings


def intake(settings: Settings, job: Job) -> Metrics:
    """Read the data set, check every record, set aside what cannot be used."""
    metrics = read_dataset(
        job.root / settings.data,
        job.out,
        set_aside=job.root / ".runtime" / "set_aside" / "intake",
        max_rejected_share=settings.intake.max_rejected_share,
        limit=settings.intake.limit,
    )
    check_held_out(job.root / settings.data, job.out)
    write_samples(job.out)
    job.cost.samples = int(metrics["read"])
    return metrics
