"""The detection rewards against the vectors of the Visual-RFT specification, section 10."""

import pytest

from tasks.asking.answers import Detection, detections
from tasks.records.boxes import Box, iou
from tasks.rewards.detection import (
    confidence_score,
    honest_confidence,
    match,
    overlap_score,
    overlap_with_true_boxes,
)

FRAME = (1000.0, 1000.0)
TARGET = [254, 303, 291, 365]


def box(*corners: float) -> Box:
    return Box(*corners, frame=FRAME)


def detection(corners: list[float], confidence: float) -> Detection:
    return Detection(box(*corners), confidence)


def answer(payload: str, thought: str = "the object is on the left") -> str:
    return f"<think>{thought}</think><answer>{payload}</answer>"


def listed(*items: tuple[list[float], float]) -> str:
    return str([{"Position": corners, "Confidence": sure} for corners, sure in items])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),  # identical
        ([0, 0, 10, 10], [2, 2, 8, 8], 0.36),  # contained
        ([10, 10, 0, 0], [0, 0, 10, 10], 0.0),  # corners swapped
        ([0.0, 0.0, 1.0, 1.0], [0.5, 0.0, 1.5, 1.0], 0.3333333333),
        ([0, 0, 10, 10], [20, 20, 30, 30], 0.0),  # disjoint
        ([477, 334, 520, 385], [409, 374, 584, 379], 0.0753592709),
        ([269, 316, 442, 400], [269, 321, 443, 402], 0.9136305903),
        ([35, 129, 187, 494], [36, 132, 185, 494], 0.9722062004),
        ([72, 228, 140, 278], [0, 248, 178, 258], 0.1511111111),
    ],
)
def test_overlap_of_two_boxes_equals_the_reference(a, b, expected):
    assert iou(box(*a), box(*b)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        ([[0, 0, 100, 100]], [([0, 0, 100, 100], 0.9)], [(1.0, 0.9)]),
        # greedy by confidence: the better box loses
        (
            [[0, 0, 100, 100]],
            [([0, 0, 100, 90], 0.4), ([0, 0, 100, 100], 0.3)],
            [(0.9, 0.4), (0.0, 0.3)],
        ),
        ([], [([0, 0, 10, 10], 0.7)], [(0.0, 0.7)]),
        ([[0, 0, 100, 100]], [([500, 500, 600, 600], 0.0)], [(0.0, 0.0)]),
        ([[0, 0, 100, 100]], [([0, 0, 100, 50], 0.9)], [(0.0, 0.9)]),  # exactly 0.5 is no match
    ],
)
def test_predictions_are_matched_greedily_by_confidence(true, predicted, expected):
    pairs = match([detection(*p) for p in predicted], [box(*t) for t in true])
    assert pairs == [pytest.approx(pair) for pair in expected]


@pytest.mark.parametrize(
    ("payload", "gold", "overlap", "confidence"),
    [
        (listed((TARGET, 0.9)), [TARGET], 1.0, 0.9),  # exact
        (listed(([0, 0, 50, 50], 0.9)), [TARGET], 0.0, 0.1),  # miss, confident
        ("No Objects", [], 1.0, 1.0),  # a correct refusal is right
        ('"no objects".', [], 1.0, 1.0),
        ("[]", [], 1.0, 1.0),
        (listed(([1, 2, 3, 4], 0.9)), [], 0.0, 0.1),  # boxes where there is nothing
        ("No Objects", [TARGET], 0.0, 0.0),  # a missed object
        (listed((TARGET, 1.0), ([0, 0, 50, 50], 0.2)), [TARGET], 0.5, 0.9),  # a spurious box
        (listed((TARGET, 1.0), (TARGET, 1.0)), [TARGET], 1.0, 1.0),  # said twice, counted once
        (listed((TARGET, 1.5)), [TARGET], 0.0, 0.0),  # confidence out of range
        (listed(([291, 365, 254, 303], 0.9)), [TARGET], 0.0, 0.0),  # corners swapped
        ("[{'Position': [254, 303, 291, 365]}]", [TARGET], 0.0, 0.0),  # confidence missing
        ("[{'Position': [254, 303, 291], 'Confidence': 1.0}]", [TARGET], 0.0, 0.0),
        ("[{'Position': [254, 303, 291, 365], 'Confidence': '1'}]", [TARGET], 0.0, 0.0),
        ("[{'Position': [254, 303, 291, 365], 'Confidence': True}]", [TARGET], 0.0, 0.0),
        ("[[254, 303, 291, 365]]", [TARGET], 0.0, 0.0),  # bare lists
        (listed((TARGET, 0.9))[:-1], [TARGET], 0.0, 0.0),  # truncated: not repaired
        ("__import__('os').getcwd()", [TARGET], 0.0, 0.0),  # never evaluated
        ("\n" + listed((TARGET, 0.9)) + "\n", [TARGET], 1.0, 0.9),  # several lines
    ],
)
def test_rewards_of_a_whole_answer(payload, gold, overlap, confidence):
    columns = {"boxes": [gold], "frame": [FRAME]}
    text = answer(payload)
    assert overlap_with_true_boxes([text], **columns) == [pytest.approx(overlap)]
    assert honest_confidence([text], **columns) == [pytest.approx(confidence)]


@pytest.mark.parametrize(
    "text",
    [
        listed((TARGET, 0.9)),  # no tags at all
        answer(listed((TARGET, 0.9))) + answer(listed((TARGET, 0.9))),  # two answers
        "<think>a</think><answer>" + listed((TARGET, 0.9)),  # never closed
        "254",  # a number out of the truth, which a symbolic check would pay in full
    ],
)
def test_a_right_box_outside_the_one_answer_pair_earns_nothing(text):
    assert overlap_with_true_boxes([text], boxes=[[TARGET]], frame=[FRAME]) == [0.0]


def test_a_spurious_box_lowers_the_reward_of_two_correct_boxes():
    true = [box(0, 0, 100, 100), box(200, 200, 300, 300)]
    right = [detection([0, 0, 100, 100], 1.0), detection([200, 200, 300, 300], 1.0)]
    spurious = [*right, detection([600, 600, 700, 700], 0.1)]
    assert overlap_score(right, true) == 1.0
    assert overlap_score(spurious, true) == pytest.approx(2 / 3)
    assert confidence_score(spurious, true) == pytest.approx((1 + 1 + 0.9) / 3)


def test_a_row_without_true_boxes_is_skipped_not_scored_zero():
    assert overlap_with_true_boxes(["x"], boxes=[None], frame=[FRAME]) == [None]


def test_conversational_completions_are_read_too():
    message = [{"role": "assistant", "content": answer(listed((TARGET, 0.9)))}]
    assert overlap_with_true_boxes([message], boxes=[[TARGET]], frame=[FRAME]) == [1.0]


def test_the_frame_decides_where_a_box_is():
    found = detections(listed(([25, 25, 50, 50], 1.0)), (100, 100))
    assert iou(found[0].box.to(FRAME), box(250, 250, 500, 500)) == pytest.approx(1.0)
