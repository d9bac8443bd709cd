"""Draw everything on one page."""

from tasks.job import Job, Metrics
from tasks.reporting.report import write_report
from tasks.settings import Settings
from tasks.stages.common import coordinates


def report(settings: Settings, job: Job) -> Metrics:
    """Draw everything on one page."""
    return write_report(job.root, job.out, coordinates(settings, str(job.input("policy_grpo"))))
