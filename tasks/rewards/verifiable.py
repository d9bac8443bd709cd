"""The rewards of GRPO and their weights: those that a computer can verify.

Visual-RFT (arXiv 2503.01785) weighs all the same. We differ (2 overlap, 0.5 confidence, 1 format):
with equal weights one confident box earns more than several uncertain right ones.
"""

from collections.abc import Callable

from tasks.rewards.detection import (
    honest_confidence,
    overlap_with_true_box,
    overlap_with_true_boxes,
)
from tasks.rewards.grounding import closeness_to_pointed_box, overlap_with_pointed_box
from tasks.rewards.text import exact_answer, exact_final, thinks_then_answers

REWARDS: dict[str, Callable] = {
    reward.__name__: reward
    for reward in (
        overlap_with_true_boxes, honest_confidence, thinks_then_answers, overlap_with_true_box,
        overlap_with_pointed_box, closeness_to_pointed_box, exact_answer, exact_final,
    )
}  # fmt: skip
# A reward that does not apply to a question is None there and is left out.
WEIGHTS: dict[str, float] = {
    "overlap_with_true_boxes": 2.0,
    "honest_confidence": 0.5,
    "thinks_then_answers": 1.0,
    "overlap_with_true_box": 2.0,
    "overlap_with_pointed_box": 2.0,
    "exact_answer": 1.0,
    "exact_final": 1.0,
}
# the metrics that they compute
VERIFIABLE = ("tagged_detections", "tagged_box", "box", "exact", "final")
TAGGED = ("tagged_detections", "tagged_box", "final")  # asked to think and then to answer
