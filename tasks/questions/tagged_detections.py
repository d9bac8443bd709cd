"""Think, then list boxes with confidences; correct refusals count.

'<think>1 ring</think><answer>[{"bbox_2d": [12, 40, 31, 58], "label": "ring", "confidence": 0.9}]
</answer>', and "<answer>No Objects</answer>" where there is none.
"""

import json
from collections.abc import Sequence
from typing import Any

from datasets import List, Value

from tasks.asking.answers import Detection, Malformed
from tasks.prompts import prompt
from tasks.questions.detections import found
from tasks.questions.kind import NUMBERS, Features, Frame, Kind, Score, tagged
from tasks.records.boxes import boxes_from, written
from tasks.records.rows import Sample
from tasks.rewards.detection import (
    answered_detections,
    honest_confidence,
    overlap_with_true_boxes,
)
from tasks.rewards.reward import Reward
from tasks.rewards.suspicion import detection_signs
from tasks.rewards.text import thinks_then_answers

CONFIDENCE = 0.9  # of demonstrations: the surest value that the embedded model writes


class TaggedDetections(Kind):
    """The boxes in the answer tags against the true ones.

    Visual-RFT (arXiv 2503.01785) weighs all rewards the same. We differ (2 overlap, 0.5 confidence,
    1 format): with equal weights one confident box earns more than several uncertain right ones.
    """

    name = "tagged_detections"
    parts = ("f1_at_50",)
    rewards = (
        Reward(function=overlap_with_true_boxes, weight=2.0),
        Reward(function=honest_confidence, weight=0.5),
        Reward(function=thinks_then_answers),
    )
    watched = staticmethod(overlap_with_true_boxes)
    features = Features({"tagged": Value("bool"), "boxes": List(NUMBERS)})

    def truth(self, sample: Sample) -> list:
        """Return the corners."""
        return sorted(map(tuple, sample.corners))

    def read(self, text: str, frame: Frame) -> list[Detection]:
        """Return the boxes between the answer tags."""
        return answered_detections(text, frame)

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score by the matched overlap."""
        return found(self.read(text, frame), sample)

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, Any]:
        """Return the true corners."""
        return {"tagged": True, "boxes": corners}

    def signs(self, text: str, row: dict[str, Any], classes: Sequence[str]) -> list[str]:
        """Return the signs that the list of boxes shows."""
        frame = tuple(row["frame"])
        try:
            return detection_signs(self.read(text, frame), boxes_from(row["boxes"], frame))
        except Malformed:
            return []

    def instructions(self, width: str, height: str) -> str:
        """Return words that ask for the form of the answer."""
        return prompt("reinforce/tagged_detections_instructions", width=width, height=height)

    def demonstration(self, sample: Sample, frame: Frame, thought: bool = True) -> str:
        """Return the true answer, in the embedded model's own words."""
        boxes = [
            {"bbox_2d": written(box, frame), "label": sample.label, "confidence": CONFIDENCE}
            for box in sample.boxes
        ]
        listed = json.dumps(boxes) if boxes else "No Objects"
        return tagged(f"{len(boxes)} {sample.label}" if thought else "", listed)
