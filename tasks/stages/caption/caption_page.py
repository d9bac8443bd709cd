"""Draw why each sentence stayed, and the captions of all budgets, on one page."""

from tasks.job import Job, Metrics
from tasks.reporting.caption_page import write_caption_page
from tasks.settings import CaptionSettings, Settings
from tasks.stages.pages import made


def caption_page(settings: Settings, job: Job) -> Metrics:
    """Draw why each sentence stayed, and the captions of all budgets, on one page."""
    write_caption_page(
        job.out,
        drafts=job.input("drafts"),
        objects=job.input("objects"),
        captions=job.input("captions"),
        answers=job.input("caption_answers"),
        root=job.root,
        made=made(
            CaptionSettings, settings, job, model=settings.drafts.captioner,
            data=settings.drafts.data, method=f"{settings.drafts.gap}, {settings.drafts.reduction}",
        ),
    )  # fmt: skip
    return {}
