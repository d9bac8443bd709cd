"""Scores one answer to one sample; the rewards of the same tasks use the same functions."""

from dataclasses import dataclass

from tasks.answers import Detection, detections, first_box, tagged_answer
from tasks.benchmarks.captions import aligned_word_f1, sentence_f1
from tasks.boxes import Box, iou
from tasks.judging.verdicts import pair_winner, point_score
from tasks.records import Sample
from tasks.rewards.detection import answered_detections, match, overlap_score
from tasks.rewards.text import same_answer


@dataclass(frozen=True)
class Score:
    """A score that explains itself.

    Attributes:
        value: In [0, 1]; 0 means wrong.
        reason: Why, in a few words.
        boxes: What to draw: the predicted boxes in the model's frame.
        parts: Other measures of the same answer, by name.
    """

    value: float
    reason: str
    boxes: tuple[Box, ...] = ()
    parts: tuple[tuple[str, float], ...] = ()


def score(sample: Sample, text: str, frame: tuple[float, float]) -> Score:
    """Score an answer by the sample's metric.

    Args:
        frame: The frame in which the model writes coordinates.
    """
    text = text.strip()
    match sample.metric:
        case "exact":
            return _exact(text == sample.answer.strip(), sample.answer)
        case "final":
            final = tagged_answer(text)
            if final is None:
                return Score(0.0, "no single answer pair")
            return _exact(same_answer(final, sample.final), sample.final)
        case "caption":
            f1 = sentence_f1(text, sample.answer)
            words = aligned_word_f1(text, sample.answer)
            return Score(f1, f"{f1:.0%} of the sentences", parts=(("word_f1", words),))
        case "box":
            box = first_box(text, frame)
            if box is None:
                return Score(0.0, "no valid box", parts=(("hit_at_50", 0.0),))
            overlap = max((iou(box, true) for true in sample.boxes), default=0.0)
            hit = (("hit_at_50", float(overlap >= 0.5)),)
            return Score(overlap, f"overlap {overlap:.2f}", (box,), hit)
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


def _exact(right: bool, reference: str) -> Score:
    return Score(float(right), "right" if right else f"expected {reference}")


def _detections(predicted: list[Detection] | None, sample: Sample) -> Score:
    if predicted is None:
        return Score(0.0, "not a list of boxes", parts=(("f1_at_50", 0.0),))
    value = overlap_score(predicted, sample.boxes)
    found = sum(overlap > 0 for overlap, _ in match(predicted, sample.boxes))
    total = len(predicted) + len(sample.boxes)
    f1 = 2 * found / total if total else 1.0
    reason = f"{found} of {len(sample.boxes)} found, {len(predicted) - found} false"
    return Score(value, reason, tuple(p.box for p in predicted), (("f1_at_50", f1),))
