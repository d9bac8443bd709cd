"""Train and ask every retriever of the experiment behind Light-ColPali's claims."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction import light_colpali as experiment
from tasks.settings import Settings


def light_colpali_arms(settings: Settings, job: Job) -> Metrics:
    """Train and ask every retriever of the experiment behind Light-ColPali's claims."""
    s = settings.light_colpali
    found = experiment.run(
        job.input("page_sets"), job.scratch, str(job.input("page_retriever")),
        str(job.input("base")), seeds=s.seeds, steps=s.steps, batch=s.batch, rates=s.rates,
    )  # fmt: skip
    (job.out / "found.json").write_text(json.dumps(found) + "\n")
    return {"results": float(len(found["results"]))}
