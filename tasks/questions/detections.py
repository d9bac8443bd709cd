"""A list of boxes: "Find every ring." is answered '[{"bbox_2d": [12, 40, 31, 58], ...}]'."""

from collections.abc import Sequence

from tasks.asking.answers import Detection, detections
from tasks.questions.kind import Frame, Kind, Score
from tasks.records.rows import Sample
from tasks.rewards.detection import match, overlap_score


class Detections(Kind):
    """The boxes of an answer against the true ones; no box is a truth too."""

    name = "detections"
    parts = ("f1_at_50",)

    def truth(self, sample: Sample) -> list:
        """Return the corners."""
        return sorted(map(tuple, sample.corners))

    def read(self, text: str, frame: Frame) -> list[Detection]:
        """Return the boxes."""
        return detections(text, frame)

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score by the matched overlap."""
        return found(self.read(text, frame), sample)


def found(predicted: Sequence[Detection], sample: Sample) -> Score:
    """Score predicted boxes against all true ones."""
    value = overlap_score(predicted, sample.boxes)
    hits = sum(overlap > 0 for overlap, _ in match(predicted, sample.boxes))
    total = len(predicted) + len(sample.boxes)
    f1 = 2 * hits / total if total else 1.0
    reason = f"{hits} of {len(sample.boxes)} found, {len(predicted) - hits} false"
    return Score(value, reason, tuple(p.box for p in predicted), (("f1_at_50", f1),))
