"""Draw what thinking brings on one page, with the pairs and traces behind it."""

import json

from tasks.job import Job, Metrics
from tasks.records.rows import read_rows
from tasks.reporting.think_page import write_think_page
from tasks.settings import Settings, ThinkSettings
from tasks.stages.pages import made


def think_sheet(settings: Settings, job: Job) -> Metrics:
    """Draw what thinking brings on one page, with the pairs and traces behind it."""
    answers = job.input("think_answers")
    s = settings.cold_start
    write_think_page(
        job.out,
        json.loads((answers / "sheet.json").read_text()),
        list(read_rows(answers)),
        folders={name: job.input(name) for name in ("traces", "sampled", "thinker")},
        root=job.root,
        made=made(
            ThinkSettings, settings, job, model=s.model, data=settings.traces.data,
            method="traces, rejection sampling, GRPO", recipe=settings.traces.shown_tasks,
        ),
        traced="thinker",
        start="start, bare",
    )  # fmt: skip
    return {}
