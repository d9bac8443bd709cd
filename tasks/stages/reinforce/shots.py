"""Read a data set and choose the few labelled examples, dev and test questions."""

from tasks.job import Job, Metrics
from tasks.reading.dataset import read_dataset
from tasks.reading.held_out import check_held_out
from tasks.reading.preview import write_samples
from tasks.reading.shots import Pool, choose_shots
from tasks.records.choosing import fewer
from tasks.records.rows import (
    SAMPLES,
    read_rows,
    read_summary,
    sample_of,
    sample_row,
    write_shards,
    write_summary,
)
from tasks.settings import Settings

METRICS = {
    "classification": "final",
    "detection": "tagged_detections",
    "grounding": "tagged_box",
    "open_vocabulary": "tagged_detections",
}


def shots(settings: Settings, job: Job) -> Metrics:
    """Read a data set and choose the few labelled examples, dev and test questions."""
    s = settings.shots
    pool = Pool(METRICS[s.recipe], per_class=max(64, 4 * s.per_class))
    read = read_dataset(
        job.root / s.data,
        job.scratch / "read",
        set_aside=job.root / ".runtime" / "set_aside" / "shots",
        max_rejected_share=s.max_rejected_share,
        limit=s.limit,
        wanted=pool,
        section="shots",
    )
    check_held_out(job.root / s.data, job.scratch / "read")
    chosen = choose_shots(
        [sample_of(row) for row in read_rows(job.scratch / "read")],
        per_class=s.per_class,
        dev=s.dev,
        test=s.test,
        base_classes=s.base_classes if s.recipe == "open_vocabulary" else 0,
        novel=s.novel_classes,
        seed=settings.seed,
    )
    write_shards(map(sample_row, chosen.samples), job.out, SAMPLES)
    if (rejected := job.scratch / "read" / "rejected.parquet").exists():
        rejected.rename(job.out / "rejected.parquet")
    less = fewer("shots.dev", s.dev, chosen.facts["dev"])
    less |= fewer("shots.test", s.test, chosen.facts["tested"])
    reasons = read_summary(job.scratch / "read")["set_aside"]
    write_summary(job.out, **read | {"set_aside": reasons}, **chosen.facts, fewer=less)
    write_samples(job.out)
    job.cost.samples = len(chosen.samples)
    return read | {name: float(n) for name, n in chosen.facts.items() if isinstance(n, int)}
