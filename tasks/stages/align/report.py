"""Draw everything on one page."""

from tasks.job import Job, Metrics
from tasks.reporting.report import write_report
from tasks.settings import AlignSettings, Settings
from tasks.stages.common import coordinates
from tasks.stages.pages import made


def report(settings: Settings, job: Job) -> Metrics:
    """Draw everything on one page."""
    told = made(
        AlignSettings, settings, job, model=settings.model, data=settings.data,
        method="fine-tuning (SFT), then DPO, then GRPO", recipe=settings.policy_grpo.tasks,
    )  # fmt: skip
    frames = coordinates(settings, str(job.input("policy_grpo")))
    return write_report(job.root, job.out, frames, told)
