"""Put what the judges were right about into tables and on one page, and their runs into MLflow."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction.outcome import write_experiment
from tasks.reproduction.unified_reward_report import CLAIM, COLUMNS, questions_of
from tasks.settings import Settings


def unified_reward(settings: Settings, job: Job) -> Metrics:
    """Put what the judges were right about into tables and on one page."""
    results = json.loads((job.input("unified_reward_arms") / "results.json").read_text())
    resamples = settings.benchmarks.resamples
    return write_experiment(
        job.out, CLAIM, results, questions_of(results), COLUMNS, job.run_id, resamples
    )
