"""What the stages have in common."""

from tasks.asking.coordinates import Coordinates
from tasks.asking.opening import open_model_processor
from tasks.settings import Settings

DESCRIBED = "tell"  # the task of pictures to describe


def coordinates(settings: Settings, model: str) -> Coordinates:
    """Return what the model's coordinates mean; pixels need the model's own processor."""
    processor = None if settings.coordinates else open_model_processor(model)
    return Coordinates(settings.coordinates, processor)
