"""The frame in which a model of the flow `ground` writes boxes."""

from tasks.asking.coordinates import Coordinates
from tasks.settings import Settings
from tasks.stages.common import coordinates


def box_frames(settings: Settings, model: str) -> Coordinates:
    """Return the padded square where the settings say so, or else what every flow has."""
    if settings.boxes.frame == "square":
        return Coordinates("square")
    return coordinates(settings, model)
