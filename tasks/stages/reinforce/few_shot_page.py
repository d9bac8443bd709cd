"""Draw the scores, the rollouts and the answers of a few-shot adaptation on one page."""

import json

from tasks.asking.resolving import folder_of
from tasks.job import Job, Metrics
from tasks.records.rows import read_rows
from tasks.reporting.few_shot_page import write_few_shot_page
from tasks.settings import ReinforceSettings, Settings
from tasks.stages.asked import asked
from tasks.stages.common import coordinates
from tasks.stages.pages import made

METHODS = {"grpo": "reinforcement (GRPO)", "sft": "fine-tuning (SFT)"}


def few_shot_page(settings: Settings, job: Job) -> Metrics:
    """Draw the scores, the rollouts and the answers of a few-shot adaptation on one page."""
    s, data, scored = settings.reinforced, job.input("shots"), job.input("perception")
    frames = coordinates(settings, str(folder_of(s.model, job.root)))
    write_few_shot_page(
        job.out,
        json.loads((scored / "table.json").read_text()),
        asked(data, "test", settings, frames),
        {name: list(read_rows(scored / name)) for name in ("start", "adapted")},
        adapted=job.input("reinforced"), shots=data, root=job.root, coordinates=frames,
        made=made(
            ReinforceSettings, settings, job, model=s.model, data=settings.shots.data,
            method=METHODS[s.method], recipe=settings.shots.recipe.replace("_", " "),
        ),
    )  # fmt: skip
    return {}
