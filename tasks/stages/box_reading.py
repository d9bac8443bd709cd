"""How the stages of the flow `ground` read: the frame of boxes, and what is shown of them."""

from tasks.asking.coordinates import Coordinates
from tasks.settings import Settings
from tasks.stages.common import coordinates
from tasks.synthesis.grounding.locating import Reading


def box_frames(settings: Settings, model: str) -> Coordinates:
    """Return the padded square where the settings say so, or else what every flow has."""
    if settings.boxes.frame == "square":
        return Coordinates("square")
    return coordinates(settings, model)


def reading_of(settings: Settings) -> Reading:
    """Return how boxes are found and read back."""
    s = settings.boxes
    return Reading(s.verify, s.largest_share, s.margin, s.crops)
