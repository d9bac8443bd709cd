"""Put what the arms scored into one table and on one page, and their runs into MLflow."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction.outcome import write_experiment
from tasks.reproduction.visual_rft_report import CLAIM, COLUMNS, questions_of
from tasks.settings import Settings


def visual_rft(settings: Settings, job: Job) -> Metrics:
    """Put what the arms scored into one table and on one page, and their runs into MLflow."""
    results = json.loads((job.input("visual_rft_arms") / "results.json").read_text())
    resamples = settings.benchmarks.resamples
    return write_experiment(
        job.out, CLAIM, results, questions_of(results), COLUMNS, job.run_id, resamples
    )
