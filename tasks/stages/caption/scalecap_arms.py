"""Draft, ask, write and read the captions of every arm behind ScaleCap's claim."""

import json

from tasks.asking.resolving import to_ask
from tasks.job import Job, Metrics
from tasks.reproduction import scalecap as experiment
from tasks.settings import Settings


def scalecap_arms(settings: Settings, job: Job) -> Metrics:
    """Draft, ask, write and read the captions of every arm behind ScaleCap's claim."""
    s = settings.scalecap
    found = experiment.run(
        data=str(job.input("caption_world")),
        captioner=str(job.input("caption_habits")),
        base=str(job.input("base")),
        writer=to_ask(s.writer, job.root),
        folder=job.scratch,
        draws=s.draws,
        sizes=experiment.Sizes(s.in_a_draw, s.sampled_drafts, s.steps, s.batch, s.rate),
    )
    (job.out / "found.json").write_text(json.dumps(found) + "\n")
    return {"arms": float(len(found["results"]))}
