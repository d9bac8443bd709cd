"""Ask the starting model the held-out questions."""

from tasks.asking.resolving import folder_of
from tasks.job import Job, Metrics
from tasks.settings import Settings
from tasks.stages.answering import answered


def answers_base(settings: Settings, job: Job) -> Metrics:
    """Ask the starting model the held-out questions."""
    return answered(settings, job, folder_of(settings.model, job.root))
