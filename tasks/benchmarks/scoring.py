"""Scores one answer to one sample; the rewards of the same tasks use the same functions."""

from collections import defaultdict
from dataclasses import dataclass

from tasks.asking.answers import Detection, Malformed, detections, first_box, read_answer
from tasks.benchmarks.captions import aligned_word_f1, sentence_f1
from tasks.judging.verdicts import pair_winner, point_score
from tasks.records.boxes import Box, iou
from tasks.records.rows import Sample
from tasks.rewards.detection import answered_detections, match, overlap_score
from tasks.rewards.grounding import answered_box
from tasks.rewards.text import same_answer

# further measures of an answer, by metric
PARTS: dict[str, tuple[str, ...]] = defaultdict(tuple) | {
    "caption": ("word_f1",), "box": ("hit_at_50",), "tagged_box": ("hit_at_50",),
    "detections": ("f1_at_50",), "tagged_detections": ("f1_at_50",),
}  # fmt: skip


@dataclass(frozen=True)
class Score:
    """A score that explains itself.

    Attributes:
        value: In [0, 1]; 0 means wrong.
        reason: Why, in a few words.
        boxes: What to draw: the predicted boxes in the model's frame.
        parts: Other measures of the same answer, by name.
        unanswered: The question could not be asked.
    """

    value: float
    reason: str
    boxes: tuple[Box, ...] = ()
    parts: tuple[tuple[str, float], ...] = ()
    unanswered: bool = False


def score(sample: Sample, text: str, frame: tuple[float, float]) -> Score:
    """Score an answer by the sample's metric; an answer of the wrong form scores 0 and says why.

    Args:
        frame: The frame in which the model writes coordinates.
    """
    try:
        return _score(sample, text.strip(), frame)
    except Malformed as reason:
        return wrong(sample, str(reason))


def _score(sample: Sample, text: str, frame: tuple[float, float]) -> Score:
    match sample.metric:
        case "exact":
            return _exact(text == sample.answer.strip(), sample.answer)
        case "final":
            return _exact(same_answer(read_answer(text), sample.final), sample.final)
        case "caption":
            f1 = sentence_f1(text, sample.answer)
            words = aligned_word_f1(text, sample.answer)
            return Score(f1, f"{f1:.0%} of the sentences", parts=(("word_f1", words),))
        case "box":
            box = first_box(text, frame)
            if box is None:
                raise Malformed("no valid box")
            overlap = max((iou(box, true) for true in sample.boxes), default=0.0)
            return Score(overlap, f"overlap {overlap:.2f}", (box,), _hit(overlap))
        case "tagged_box":
            box = answered_box(text, frame)
            overlap = iou(box, sample.boxes[0])
            return Score(overlap, f"overlap {overlap:.2f}", (box,), _hit(overlap))
        case "detections":
            return _detections(detections(text, frame), sample)
        case "tagged_detections":
            return _detections(answered_detections(text, frame), sample)
        case "pair":
            winner = pair_winner(text)
            return (
                _exact(winner == sample.answer, sample.answer)
                if winner
                else Score(0.0, "unreadable")
            )
        case "point":
            value = point_score(text, 1, 10)
            right = value is not None and value == float(sample.answer)
            return _exact(right, sample.answer) if value is not None else Score(0.0, "unreadable")


def wrong(sample: Sample, reason: str, unanswered: bool = False) -> Score:
    """Return the score of no answer at all."""
    parts = tuple((name, 0.0) for name in PARTS[sample.metric])
    return Score(0.0, reason, parts=parts, unanswered=unanswered)


def _exact(right: bool, reference: str) -> Score:
    return Score(float(right), "right" if right else f"expected {reference}")


def _hit(overlap: float) -> tuple[tuple[str, float], ...]:
    return (("hit_at_50", float(overlap >= 0.5)),)


def _detections(predicted: list[Detection], sample: Sample) -> Score:
    value = overlap_score(predicted, sample.boxes)
    found = sum(overlap > 0 for overlap, _ in match(predicted, sample.boxes))
    total = len(predicted) + len(sample.boxes)
    f1 = 2 * found / total if total else 1.0
    reason = f"{found} of {len(sample.boxes)} found, {len(predicted) - found} false"
    return Score(value, reason, tuple(p.box for p in predicted), (("f1_at_50", f1),))
