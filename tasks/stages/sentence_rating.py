"""How the stages of the flow `caption` rate sentences."""

from tasks.settings import Settings
from tasks.synthesis.captioning.drafting import Rating


def rating_of(settings: Settings) -> Rating:
    """Return how sentences are rated."""
    s = settings.drafts
    tagger = "pattern" if s.weighted else ""
    return Rating(s.gap, s.reduction, s.threshold, tagger, s.by_clause)
