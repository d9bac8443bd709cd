"""Put what the retrievers found into tables and on one page, and their runs into MLflow."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction.light_colpali_report import (
    CLAIM,
    COLUMNS,
    hypotheses,
    plots,
    questions_of,
    title,
)
from tasks.reproduction.outcome import write_experiment
from tasks.settings import Settings


def light_colpali(settings: Settings, job: Job) -> Metrics:
    """Put what the retrievers found into tables and on one page, and their runs into MLflow."""
    found = json.loads((job.input("light_colpali_arms") / "found.json").read_text())
    results, resamples = found["results"], settings.benchmarks.resamples
    tests = hypotheses(results, resamples)
    told = {
        "hypotheses": tests, "pilot": found["pilot"], "rates": found["rates"],
        "trained": [{n: v for n, v in one.items() if n != "history"} for one in found["trained"]],
    }  # fmt: skip
    (job.out / "retrievers.json").write_text(json.dumps(told, indent=1) + "\n")
    named = [result | {"arm": title(result)} for result in results]
    return write_experiment(
        job.out, CLAIM, named, questions_of(results), COLUMNS, job.run_id, resamples,
        hypotheses=tests, plots=plots(results),
    )  # fmt: skip
