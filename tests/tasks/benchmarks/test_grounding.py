"""Grounding against the vectors of the Visual-RFT specification, 10.13 to 10.15."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.benchmarks.grounding import (
    MaskOverlap,
    box_overlap,
    mask_overlap,
    mean_box_overlap,
    mean_mask_overlap,
    total_mask_overlap,
)
from tasks.records.boxes import Box, iou

VECTORS = Path(__file__).parent / "vectors"
UNIT = (1.0, 1.0)
SIZE = (16, 10)
SQUARE = [(2, 2), (5, 2), (5, 5), (2, 5)]  # 4 x 4 pixels with its outline


def rows(name: str) -> list:
    """Return (input, recommended) of each row; every section of the specification has 16."""
    read = json.loads((VECTORS / f"{name}.json").read_text())["rows"]
    assert len(read) == 16
    return [
        pytest.param(row["input"], row["recommended"], id=f"{row['row']} {row['note']}".strip())
        for row in read
    ]


@pytest.mark.parametrize(("vector", "expected"), rows("grounding_box_overlap"))
def test_box_overlap_equals_the_vectors(vector, expected):
    predicted, true = Box(*vector["pred"], UNIT), Box(*vector["gt"], UNIT)
    assert box_overlap(predicted, true) == pytest.approx(expected, abs=1e-9)
    thousandths = predicted.to((1000, 1000))
    assert box_overlap(thousandths, true) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("vector", "expected"), rows("mask_overlap"))
def test_mask_overlap_equals_the_vectors(vector, expected):
    height, width = vector["size_hw"]
    box = Box(*vector["pred_box_fill_xyxy_half_open"], (width, height))
    found = mask_overlap(box, [vector["gt_polygon"]], (width, height))
    assert (found.intersection, found.union) == (expected["intersection"], expected["union"])
    assert found.iou == pytest.approx(expected["iou"], abs=1e-9)


@pytest.mark.parametrize(("vector", "expected"), rows("mask_aggregation"))
def test_means_and_totals_of_masks_equal_the_vectors(vector, expected):
    overlaps = [MaskOverlap(*pair) for pair in vector["intersection_union_pairs"]]
    assert mean_mask_overlap(overlaps) == pytest.approx(expected["gIoU"], abs=1e-9)
    assert total_mask_overlap(overlaps) == pytest.approx(expected["cIoU"], abs=1e-9)


def test_an_item_without_an_answer_counts_zero_and_is_not_dropped():
    right = Box(2, 2, 6, 6, SIZE)
    assert mean_box_overlap([right, None], [right, right]) == pytest.approx(0.5, abs=1e-4)
    overlaps = [mask_overlap(box, [SQUARE], SIZE) for box in (right, None)]
    assert overlaps == [MaskOverlap(16, 16), MaskOverlap(0, 16)]
    assert mean_mask_overlap(overlaps) == pytest.approx(0.5)
    assert total_mask_overlap(overlaps) == pytest.approx(0.5)


def test_no_items_have_no_mean():
    assert mean_box_overlap([], []) is mean_mask_overlap([]) is total_mask_overlap([]) is None


def test_an_object_of_several_parts_is_one_mask():
    other = [(10, 2), (11, 2), (11, 3), (10, 3)]
    found = mask_overlap(Box(0, 0, 16, 10, SIZE), [SQUARE, other, SQUARE], SIZE)
    assert found == MaskOverlap(16 + 4, 160)


def test_a_box_beyond_the_picture_covers_what_is_in_it():
    found = mask_overlap(Box(-3, -3, 99, 99, SIZE), [SQUARE], SIZE)
    assert found == MaskOverlap(16, 160)


def test_a_box_of_another_frame_covers_the_same_pixels():
    box = Box(2, 2, 6, 6, SIZE)
    assert mask_overlap(box.to((1000, 1000)), [SQUARE], SIZE) == MaskOverlap(16, 16)


share = st.floats(0, 1)
boxes = st.builds(lambda x0, y0, x1, y1: Box(x0, y0, x1, y1, UNIT), share, share, share, share)


@settings(deadline=None, derandomize=True)
@given(boxes, boxes)
def test_box_overlap_is_a_little_below_intersection_over_union(a, b):
    assert 0 <= box_overlap(a, b) <= iou(a, b) <= 1 + 1e-9
    assert box_overlap(a, b) == pytest.approx(box_overlap(b, a), abs=1e-9)


@settings(deadline=None, derandomize=True)
@given(boxes, st.lists(boxes, min_size=1, max_size=5))
def test_mask_overlaps_are_between_zero_and_one(true, predicted):
    polygon = [(c * 15, d * 9) for c in (true.x0, true.x1) for d in (true.y0, true.y1)]
    overlaps = [mask_overlap(box, [polygon], SIZE) for box in predicted]
    assert all(0 <= one.intersection <= one.union <= 160 for one in overlaps)
    assert 0 <= mean_mask_overlap(overlaps) < 1
    assert 0 <= total_mask_overlap(overlaps) < 1
