"""Ask the reinforced policy the held-out questions."""

from tasks.job import Job, Metrics
from tasks.settings import Settings
from tasks.stages.answering import answered


def answers_policy_grpo(settings: Settings, job: Job) -> Metrics:
    """Ask the reinforced policy the held-out questions."""
    return answered(settings, job, job.input("policy_grpo"))
