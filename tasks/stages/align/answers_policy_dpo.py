"""Ask the policy that preferences were optimised in the held-out questions."""

from tasks.job import Job, Metrics
from tasks.settings import Settings
from tasks.stages.answering import answered


def answers_policy_dpo(settings: Settings, job: Job) -> Metrics:
    """Ask the policy that preferences were optimised in the held-out questions."""
    return answered(settings, job, job.input("policy_dpo"))
