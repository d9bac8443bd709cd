"""Put what the captions were worth into tables and on one page, the arms' runs into MLflow."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction.outcome import write_experiment
from tasks.reproduction.scalecap_report import (
    CLAIM,
    COLUMNS,
    cost,
    curve,
    hypotheses,
    plots,
    questions_of,
)
from tasks.settings import Settings


def scalecap(settings: Settings, job: Job) -> Metrics:
    """Put what the captions were worth into tables and on one page, the arms' runs into MLflow."""
    found = json.loads((job.input("scalecap_arms") / "found.json").read_text())
    results, resamples = found["results"], settings.benchmarks.resamples
    tests = hypotheses(results, resamples)
    rating = {
        "curve": curve(results, resamples), "hypotheses": tests,
        "options": found["options"], "choice": found["choice"], "cost": cost(results),
    }  # fmt: skip
    (job.out / "rating.json").write_text(json.dumps(rating, indent=1) + "\n")
    return write_experiment(
        job.out, CLAIM, results, questions_of(results), COLUMNS, job.run_id, resamples,
        hypotheses=tests, plots=plots(found, resamples),
    )  # fmt: skip
