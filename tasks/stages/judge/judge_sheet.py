"""Draw how far the judge can be trusted on one page, with the pairs behind it."""

import json

from tasks.job import Job, Metrics
from tasks.records.rows import read_rows
from tasks.reporting.judge_page import write_judge_page
from tasks.settings import JudgeSettings, Settings
from tasks.stages.pages import made


def judge_sheet(settings: Settings, job: Job) -> Metrics:
    """Draw how far the judge can be trusted on one page, with the pairs behind it."""
    s, answers = settings.judge, job.input("judge_answers")
    sheet = json.loads((answers / "sheet.json").read_text())
    judges = [name for name in ("start", "judge", "scalar") if name in sheet]
    write_judge_page(
        job.out,
        sheet,
        {name: list(read_rows(answers / name)) for name in judges},
        judge=job.input("judge"),
        judgements=job.input("judgements"),
        root=job.root,
        made=made(
            JudgeSettings, settings, job, model=s.model, data=settings.judgements.data,
            method="fine-tuning on verdicts", recipe=[*s.taught_tasks, *s.styles],
        ),
    )  # fmt: skip
    return {}
