"""Put what the judges were right about into tables and on one page, and their runs into MLflow."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction.outcome import write_experiment
from tasks.reproduction.think_report import (
    CLAIM,
    COLUMNS,
    facts,
    hypotheses,
    plots,
    questions_of,
)
from tasks.settings import Settings


def unified_reward_think(settings: Settings, job: Job) -> Metrics:
    """Put what the judges were right about into tables and on one page, their runs into MLflow."""
    found = json.loads((job.input("unified_reward_think_arms") / "found.json").read_text())
    results, resamples = found["results"], settings.benchmarks.resamples
    tests = hypotheses(results, resamples)
    told = {"hypotheses": tests, "facts": facts(results), "pilot": [
        {"arm": r["arm"], "task": r["question"]}
        | {n: v for n, v in r["best/test"].items() if n != "items"} for r in found["pilot"]
    ]}  # fmt: skip
    (job.out / "thinking.json").write_text(json.dumps(told, indent=1) + "\n")
    return write_experiment(
        job.out, CLAIM, results, questions_of(results), COLUMNS, job.run_id, resamples,
        hypotheses=tests, plots=plots(results),
    )  # fmt: skip
