"""Find boxes, train and ask every arm of the experiment behind GCoT's claim."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction import gcot as experiment
from tasks.settings import Settings

FAMILIES = ("horizontal_bars", "tiles", "price_list")
PILOT = "wide_table"


def gcot_arms(settings: Settings, job: Job) -> Metrics:
    """Find boxes, train and ask every arm of the experiment behind GCoT's claim."""
    s = settings.gcot
    found = experiment.run(
        data=str(job.input("grounding_world")),
        base_data=str(job.root / "data"),
        start=str(job.input("grounding_habits")),
        folder=job.scratch,
        families=FAMILIES,
        pilot=PILOT,
        seeds=s.seeds,
        sizes=experiment.Sizes(**s.model_dump(exclude={"seeds"})),
    )
    (job.out / "found.json").write_text(json.dumps(found) + "\n")
    return {"arms": float(len(found["results"]))}
