"""One box in the text: "Point at the ring." is answered "[12, 40, 31, 58]"."""

from tasks.asking.answers import Malformed, first_box
from tasks.questions.kind import NUMBERS, Features, Frame, Kind, Score
from tasks.records.boxes import Box as Corners
from tasks.records.boxes import iou
from tasks.records.rows import Sample
from tasks.rewards.detection import overlap_with_true_box
from tasks.rewards.reward import Reward


class Box(Kind):
    """The first box of an answer against the one true box."""

    name = "box"
    parts = ("hit_at_50",)
    rewards = (Reward(function=overlap_with_true_box, weight=2.0),)
    watched = staticmethod(overlap_with_true_box)
    features = Features({"box": NUMBERS})

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used: rewards and benchmarks look at one box."""
        return one_box(sample)

    def truth(self, sample: Sample) -> list:
        """Return the corners."""
        return sorted(map(tuple, sample.corners))

    def read(self, text: str, frame: Frame) -> Corners:
        """Return the first box."""
        box = first_box(text, frame)
        if box is None:
            raise Malformed("no valid box")
        return box

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score by the overlap."""
        box = self.read(text, frame)
        overlap = iou(box, sample.boxes[0])
        return Score(overlap, f"overlap {overlap:.2f}", (box,), hit(overlap))

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, list[float]]:
        """Return the true corners."""
        return {"box": corners[0]}


def one_box(sample: Sample) -> str:
    """Return what is wrong with a sample that needs one box."""
    wrong = len(sample.corners) != 1
    return f"metric {sample.metric} needs exactly one box" if wrong else ""


def hit(overlap: float) -> tuple[tuple[str, float], ...]:
    """Return whether the overlap counts as a hit (half or more)."""
    return (("hit_at_50", float(overlap >= 0.5)),)
