"""Think, then one box: "<think>Look for the ring.</think><answer>[12, 40, 31, 58]</answer>"."""

import json
from collections.abc import Sequence
from typing import Any

from datasets import Value

from tasks.asking.answers import Malformed
from tasks.prompts import prompt
from tasks.questions.box import hit, one_box
from tasks.questions.kind import NUMBERS, Features, Frame, Kind, Score, tagged
from tasks.records.boxes import Box as Corners
from tasks.records.boxes import iou, written
from tasks.records.rows import Sample
from tasks.rewards.grounding import answered_box, overlap_with_pointed_box
from tasks.rewards.reward import Reward
from tasks.rewards.suspicion import pointing_signs
from tasks.rewards.text import thinks_then_answers


class TaggedBox(Kind):
    """The one box in the answer tags against the one true box."""

    name = "tagged_box"
    parts = ("hit_at_50",)
    rewards = (
        Reward(function=thinks_then_answers),
        Reward(function=overlap_with_pointed_box, weight=2.0),
    )
    watched = staticmethod(overlap_with_pointed_box)
    features = Features({"tagged": Value("bool"), "pointed": NUMBERS})

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used: rewards and benchmarks look at one box."""
        return one_box(sample)

    def truth(self, sample: Sample) -> list:
        """Return the corners."""
        return sorted(map(tuple, sample.corners))

    def read(self, text: str, frame: Frame) -> Corners:
        """Return the box between the answer tags."""
        return answered_box(text, frame)

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score by the overlap."""
        box = self.read(text, frame)
        overlap = iou(box, sample.boxes[0])
        return Score(overlap, f"overlap {overlap:.2f}", (box,), hit(overlap))

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, Any]:
        """Return the true corners."""
        return {"tagged": True, "pointed": corners[0]}

    def signs(self, text: str, row: dict[str, Any], classes: Sequence[str]) -> list[str]:
        """Return whether the box is the whole picture."""
        try:
            return pointing_signs(self.read(text, tuple(row["frame"])))
        except Malformed:
            return []

    def instructions(self, width: str, height: str) -> str:
        """Return words that ask for the form of the answer."""
        return prompt("reinforce/tagged_box_instructions", width=width, height=height)

    def demonstration(self, sample: Sample, frame: Frame, thought: bool = True) -> str:
        """Return the true answer, in the embedded model's own words."""
        box = json.dumps(written(sample.boxes[0], frame))
        return tagged(f"Look for {sample.label}." if thought else "", box)
