"""Put what the arms were right about into tables and on one page, their runs into MLflow."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction.gcot_report import (
    CLAIM,
    COLUMNS,
    by_round,
    hypotheses,
    kept_shares,
    plots,
    questions_of,
)
from tasks.reproduction.outcome import write_experiment
from tasks.settings import Settings


def gcot(settings: Settings, job: Job) -> Metrics:
    """Put what the arms were right about into tables and on one page, their runs into MLflow."""
    found = json.loads((job.input("gcot_arms") / "found.json").read_text())
    results, resamples = found["results"], settings.benchmarks.resamples
    tests = hypotheses(results, resamples)
    sizes = sorted({bank["n"] for bank in found["banks"]})
    boxes = {
        "rates": found["rates"], "hypotheses": tests,
        "rounds": {str(n): by_round(found["banks"], n, "crop") for n in sizes},
        "kept": {way: kept_shares(found["banks"], way) for way in ("crop", "coordinates")},
    }  # fmt: skip
    (job.out / "boxes.json").write_text(json.dumps(boxes, indent=1) + "\n")
    return write_experiment(
        job.out, CLAIM, results, questions_of(results), COLUMNS, job.run_id, resamples,
        hypotheses=tests, plots=plots(found, resamples),
    )  # fmt: skip
