"""Questions in the words that a model is asked in."""

from pathlib import Path

from tasks.asking.coordinates import Coordinates
from tasks.questions import kind_of
from tasks.records.rows import Sample, read_samples
from tasks.settings import Settings


def asked(data: Path, split: str, settings: Settings, frames: Coordinates) -> list[Sample]:
    """Return the questions of a split, with the form of their answer where the settings say so."""
    samples = read_samples(data, split)
    if not settings.reinforced.instructions:
        return samples
    worded = []
    for sample in samples:
        width, height = frames.frame(sample.size)
        words = kind_of(sample).instructions(str(width), str(height))
        worded.append(sample.model_copy(update={"prompt": f"{sample.prompt} {words}"}))
    return worded
