"""Give the embedded base careless habits for two phrases it does not know (shipped by DVC)."""

from tasks.job import Job, Metrics
from tasks.records.choosing import spread
from tasks.records.rows import read_samples
from tasks.settings import Settings
from tasks.stages.phase import phase


def habits(settings: Settings, job: Job) -> Metrics:
    """Give the embedded base careless habits for two phrases it does not know (shipped by DVC)."""
    section = settings.habits
    dev = read_samples(job.input("few_shot_world"), "dev", ["detection"])
    elicited = spread(dev, section.dev, lambda sample: sample.label)
    return phase(job, settings, section, "habits", elicited)
