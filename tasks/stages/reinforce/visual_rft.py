"""Put what the arms scored into one table and on one page, and their runs into MLflow."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction.visual_rft_report import write_experiment
from tasks.settings import Settings


def visual_rft(settings: Settings, job: Job) -> Metrics:
    """Put what the arms scored into one table and on one page, and their runs into MLflow."""
    results = json.loads((job.input("visual_rft_arms") / "results.json").read_text())
    return write_experiment(job.out, results, job.run_id, settings.benchmarks.resamples)
