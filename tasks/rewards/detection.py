"""Rewards for finding objects: overlap with the true boxes, and honest confidences.

Follows Visual-RFT (arXiv 2503.01785, section 3.2), strict semantics: exactly one answer pair,
correct refusals are rewarded, and a malformed list earns nothing. We differ from the released code
in one place: no symbolic check of the whole text, which paid wrong boxes in full.
"""

from collections.abc import Sequence

from tasks.asking.answers import Detection, Malformed, detections, first_box, read_answer
from tasks.records.boxes import Box, boxes_from, iou
from tasks.rewards.text import content_of

MATCH = 0.5  # a prediction counts as found when its overlap is strictly greater


def match(
    predicted: Sequence[Detection], true: Sequence[Box], threshold: float = MATCH
) -> list[tuple[float, float]]:
    """Match predictions to true boxes greedily by confidence (specification 4.3).

    Returns:
        (overlap, confidence) per prediction, most confident first; overlap 0.0 where none matched.
    """
    free = list(true)
    pairs = []
    for prediction in sorted(predicted, key=lambda p: -p.confidence):
        overlaps = [iou(prediction.box, box) for box in free]
        best = max(overlaps, default=0.0)
        if best > threshold:
            free.pop(overlaps.index(best))
            pairs.append((best, prediction.confidence))
        else:
            pairs.append((0.0, prediction.confidence))
    return pairs


def overlap_score(predicted: Sequence[Detection], true: Sequence[Box]) -> float:
    """Return the matched overlap over the larger of both counts, in [0, 1] (4.4)."""
    if not predicted and not true:
        return 1.0
    matched = sum(overlap for overlap, _ in match(predicted, true))
    return matched / max(len(true), len(predicted))


def confidence_score(predicted: Sequence[Detection], true: Sequence[Box]) -> float:
    """Return how well confidences agree with matches, in [0, 1] (4.5)."""
    if not predicted:
        return float(not true)
    pairs = match(predicted, true)
    return sum(c if overlap else 1 - c for overlap, c in pairs) / len(pairs)


def overlap_with_true_boxes(
    completions: Sequence, boxes: Sequence, frame: Sequence, **_: object
) -> list[float | None]:
    """Reward the overlap of the answered boxes with the true ones, in [0, 1].

    Args:
        boxes: True corners per completion, in the frame that the model writes.
        frame: Width and height of that frame, per completion. None skips a row without boxes.
    """
    return _scores(overlap_score, completions, boxes, frame)


def honest_confidence(
    completions: Sequence, boxes: Sequence, frame: Sequence, **_: object
) -> list[float | None]:
    """Reward high confidence in boxes that match and low confidence in others, in [0, 1]."""
    return _scores(confidence_score, completions, boxes, frame)


def overlap_with_true_box(
    completions: Sequence, box: Sequence, frame: Sequence, **_: object
) -> list[float | None]:
    """Reward the overlap of the first answered box with the one true box, in [0, 1].

    Args:
        box: True corners per completion in the frame that the model writes; None skips the row.
        frame: Width and height of that frame, per completion.
    """
    rewards: list[float | None] = []
    for completion, corners, size in zip(completions, box, frame, strict=True):
        if corners is None:
            rewards.append(None)
            continue
        answered = first_box(content_of(completion), tuple(size))
        true = boxes_from([corners], tuple(size))[0]
        rewards.append(iou(answered, true) if answered else 0.0)
    return rewards


def answered_detections(text: str, frame: tuple[float, float]) -> list[Detection]:
    """Read the detections inside the one answer pair.

    Raises:
        Malformed: There is no such pair, or its content is no list of boxes.
    """
    return detections(read_answer(text), frame)


def _scores(score, completions, boxes, frame) -> list[float | None]:
    rewards: list[float | None] = []
    for completion, corners, size in zip(completions, boxes, frame, strict=True):
        if corners is None or size is None:
            rewards.append(None)
            continue
        true = boxes_from(corners, tuple(size))
        try:
            predicted = answered_detections(content_of(completion), tuple(size))
        except Malformed:
            rewards.append(0.0)
        else:
            rewards.append(score(predicted, true))
    return rewards
