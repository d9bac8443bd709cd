"""What the stages have in common: models, coordinates, trainings."""

from tasks.asking.coordinates import Coordinates
from tasks.asking.local import open_model_processor
from tasks.job import Job
from tasks.running import registry
from tasks.settings import Settings

DESCRIBED = "tell"  # the task of pictures to describe
EMBEDDED = {"outputs/base": "base", "outputs/habits": "habits"}  # models that stages make


def model_of(name: str, job: Job) -> str:
    """Return the folder or id of a model that a setting names."""
    if name in EMBEDDED:
        return str(job.input(EMBEDDED[name]))
    if name.startswith(registry.SCHEME):
        return str(registry.fetch(name, job.root))
    local = job.root / name
    return str(local) if local.exists() else name


def coordinates(settings: Settings, model: str) -> Coordinates:
    """Return what the model's coordinates mean; pixels need the model's own processor."""
    processor = None if settings.coordinates else open_model_processor(model)
    return Coordinates(settings.coordinates, processor)
