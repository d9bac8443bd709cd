"""Train and ask every retriever of the experiment behind Light-ColPali's claims."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction import light_colpali as experiment
from tasks.settings import Settings


def light_colpali_arms(settings: Settings, job: Job) -> Metrics:
    """Train and ask every retriever of the experiment behind Light-ColPali's claims."""
    s = settings.light_colpali
    sizes = {"train": s.train_pages, "dev": s.dev_pages, "test": s.test_pages}
    drawn = experiment.draw(job.scratch, settings.seed + 2, sizes, s.near_misses)
    found = experiment.run(
        job.scratch, str(job.input("page_retriever")), seeds=s.seeds, steps=s.steps, batch=s.batch,
        rates=s.rates,
    )  # fmt: skip
    (job.out / "found.json").write_text(json.dumps(found | {"drawn": drawn}) + "\n")
    return {"results": float(len(found["results"]))}
