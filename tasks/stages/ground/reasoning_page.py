"""Draw the lessons with their boxes, and the answers before and after, on one page."""

from tasks.job import Job, Metrics
from tasks.records.rows import read_rows
from tasks.reporting.ground_page import write_ground_page
from tasks.settings import GroundSettings, Settings
from tasks.stages.pages import made
from tasks.synthesis.grounding.ways import WAYS, folder_of_way


def reasoning_page(settings: Settings, job: Job) -> Metrics:
    """Draw the lessons with their boxes, and the answers before and after, on one page."""
    answered = job.input("reasoning")
    write_ground_page(
        job.out,
        lessons=job.input("lessons"),
        boxes=job.input("boxes"),
        reasoner=job.input("reasoner"),
        reasoning=answered,
        answers={name: list(read_rows(answered / folder_of_way(name))) for name in WAYS},
        root=job.root,
        made=made(
            GroundSettings, settings, job, model=settings.boxes.model, data=settings.lessons.data,
            method=f"{settings.boxes.rounds} rounds", recipe=settings.reasoner.learns,
        ),
    )  # fmt: skip
    return {}
