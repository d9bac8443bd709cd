"""The rewards against the vectors of the Visual-RFT specification, section 10, strict values."""

import ast
import json
from pathlib import Path

import pytest

from tasks.asking.answers import Detection, tagged_answer
from tasks.records.boxes import Box, boxes_from, iou
from tasks.rewards.detection import (
    confidence_score,
    honest_confidence,
    match,
    overlap_score,
    overlap_with_true_boxes,
)
from tasks.rewards.grounding import closeness_to_pointed_box, overlap_with_pointed_box
from tasks.rewards.text import exact_final, thinks_then_answers

VECTORS = Path(__file__).parent / "vectors"
FRAME = (1000.0, 1000.0)


def rows(name: str) -> list:
    """Return (input, recommended) of each row; every section of the specification has 16."""
    read = json.loads((VECTORS / f"{name}.json").read_text())["rows"]
    assert len(read) == 16
    return [
        pytest.param(row["input"], row["recommended"], id=f"{row['row']} {row['note']}".strip())
        for row in read
    ]


def listed(items: list[dict]) -> list[Detection]:
    return [Detection(Box(*one["Position"], FRAME), one["Confidence"]) for one in items]


def truth(solution: str) -> list:
    """Return the corners of a gold solution; "No Objects" is none."""
    payload = tagged_answer(solution)
    return [] if payload == "No Objects" else [o["Position"] for o in ast.literal_eval(payload)]


def scene(matches: list, true_boxes: int) -> tuple[list[Detection], list[Box]]:
    """Build boxes with the given overlaps: predictions are shares of true boxes, or far below them.

    The vectors name some lists with more matches than true boxes; there each match gets its box,
    which leaves the larger of both counts as it is.
    """
    number = max(true_boxes, sum(overlap > 0 for overlap, _ in matches))
    true = [Box(100 * i, 0, 100 * i + 80, 10, FRAME) for i in range(number)]
    free = iter(true)
    predicted = [
        Detection(Box(b.x0, 0, b.x0 + 80 * overlap, 10, FRAME), confidence)
        if overlap and (b := next(free))
        else Detection(Box(0, 500 + 20 * i, 80, 510 + 20 * i, FRAME), confidence)
        for i, (overlap, confidence) in enumerate(matches)
    ]
    return predicted, true


@pytest.mark.parametrize(("given", "expected"), rows("box_overlap"))
def test_overlap_of_two_boxes(given, expected):
    if isinstance(expected, dict):
        with pytest.raises(ValueError):
            boxes_from([given["a"], given["b"]], FRAME)
    else:
        a, b = boxes_from([given["a"], given["b"]], FRAME)
        assert iou(a, b) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("given", "expected"), rows("matching"))
def test_predictions_are_matched_in_the_order_of_confidence(given, expected):
    true = [Box(*one["Position"], FRAME) for one in given["gt"]]
    found = match(listed(given["pred"]), true)
    assert found == [pytest.approx(pair, abs=1e-9) for pair in expected]


@pytest.mark.parametrize(("given", "expected"), rows("overlap_of_matches"))
def test_overlaps_are_summed_over_the_larger_count(given, expected):
    predicted, true = scene(given["matches"], given["num_gt"])
    assert overlap_score(predicted, true) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("given", "expected"), rows("confidence_of_matches"))
def test_confidences_are_averaged_over_predictions(given, expected):
    predicted, true = scene(given["matches"], 1)
    if expected is None:  # no predictions: right if there is nothing to find
        assert (confidence_score([], []), confidence_score([], true)) == (1.0, 0.0)
    else:
        assert confidence_score(predicted, true) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("given", "expected"), rows("overlap_with_true_boxes"))
def test_the_overlap_reward_of_a_whole_answer(given, expected):
    boxes = [truth(given["solution"])]
    paid = overlap_with_true_boxes([given["completion"]], boxes=boxes, frame=[FRAME])
    assert paid == [pytest.approx(expected, abs=1e-9)]


@pytest.mark.parametrize(("given", "expected"), rows("honest_confidence"))
def test_the_confidence_reward_of_a_whole_answer(given, expected):
    boxes = [truth(given["solution"])]
    paid = honest_confidence([given["completion"]], boxes=boxes, frame=[FRAME])
    assert paid == [pytest.approx(expected, abs=1e-9)]


@pytest.mark.parametrize(("given", "expected"), rows("layout"))
def test_the_layout(given, expected):
    assert thinks_then_answers([given["completion"]]) == [expected]


@pytest.mark.parametrize(("given", "expected"), rows("class_name"))
def test_the_name_of_a_class(given, expected):
    final = tagged_answer(given["solution"])
    assert exact_final([given["completion"]], final=[final]) == [expected]


@pytest.mark.parametrize(("given", "expected"), rows("grounding_giou"))
def test_pointing_is_paid_by_generalised_overlap(given, expected):
    upper, lower = ast.literal_eval(f"[{tagged_answer(given['solution'])}]")
    pointed = [*upper, *lower]
    paid = closeness_to_pointed_box([given["completion"]], pointed=[pointed], frame=[FRAME])
    assert paid == [pytest.approx(expected, abs=1e-6)]
    overlap = overlap_with_pointed_box([given["completion"]], pointed=[pointed], frame=[FRAME])
    assert overlap[0] <= expected + 1e-9  # GIoU + 1 is never less than IoU
