"""Read judgements, check every record, set aside what cannot be used."""

from tasks.job import Job, Metrics, need
from tasks.questions import kind_of
from tasks.reading.dataset import read_dataset
from tasks.reading.held_out import check_held_out
from tasks.reading.preview import write_samples
from tasks.records.rows import read_summary
from tasks.settings import Settings


def judgements(settings: Settings, job: Job) -> Metrics:
    """Read judgements, check every record, set aside what cannot be used."""
    s = settings.judgements
    metrics = read_dataset(
        job.root / s.data,
        job.out,
        set_aside=job.root / ".runtime" / "set_aside" / "judgements",
        max_rejected_share=s.max_rejected_share,
        limit=s.limit,
        wanted=lambda sample: kind_of(sample).judged,
        section="judgements",
    )
    there = list(read_summary(job.out)["tasks"])
    need(there, "the data has no judgements (metric pair or point)", "judgements.data")
    check_held_out(job.root / s.data, job.out)
    write_samples(job.out)
    job.cost.samples = int(metrics["read"])
    return metrics
