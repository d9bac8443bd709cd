"""Train and ask every arm of the experiment behind Visual-RFT's claim, with every seed."""

import json

from tasks.asking.coordinates import Coordinates
from tasks.job import Job, Metrics
from tasks.reproduction import visual_rft as experiment
from tasks.settings import Settings


def visual_rft_arms(settings: Settings, job: Job) -> Metrics:
    """Train and ask every arm of the experiment behind Visual-RFT's claim, with every seed."""
    s = settings.visual_rft
    trials = experiment.trials(
        data=str(job.input("few_shot_world")),
        others=str(job.root / "data"),
        start=str(job.input("habits")),
        folder=job.scratch,
        coordinates=Coordinates(100),
        **s.model_dump(),
    )
    results = experiment.run(trials)
    (job.out / "results.json").write_text(json.dumps(results) + "\n")
    return {"arms": float(len(results))}
