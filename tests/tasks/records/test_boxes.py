"""Boxes keep their frame, and their overlap is what counting unit squares gives."""

import random

import pytest

from tasks.records.boxes import Box, boxes_from, iou


def random_box(rng: random.Random, side: int = 20) -> Box:
    (x0, x1), (y0, y1) = (sorted(rng.sample(range(side + 1), 2)) for _ in range(2))
    return Box(x0, y0, x1, y1, (side, side))


def cells(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.x0, box.x1) for y in range(box.y0, box.y1)}


def test_overlap_equals_counting_unit_squares():
    rng = random.Random(0)
    overlapping = 0
    for _ in range(500):
        a, b = random_box(rng), random_box(rng)
        together = len(cells(a) & cells(b))
        overlapping += together > 0
        assert iou(a, b) == pytest.approx(together / len(cells(a) | cells(b)))
    assert 100 < overlapping < 490


def test_overlap_does_not_depend_on_the_order():
    rng = random.Random(1)
    for _ in range(100):
        a, b = random_box(rng), random_box(rng)
        assert iou(a, b) == iou(b, a)


def test_a_box_compared_in_another_frame_is_the_same_box():
    rng = random.Random(2)
    for _ in range(100):
        a, b = random_box(rng), random_box(rng)
        assert iou(a, b.to((1000, 700))) == pytest.approx(iou(a, b))
        assert iou(a.to((3, 5)), b.to((1000, 700))) == pytest.approx(iou(a, b))


def test_forgetting_the_frame_would_give_another_overlap():
    box = Box(10, 10, 50, 50, (100, 100))
    assert iou(box, box.to((1000, 1000))) == pytest.approx(1)
    assert iou(box, Box(*box.to((1000, 1000)).corners(), frame=(100, 100))) < 0.1


@pytest.mark.parametrize(
    "other",
    [
        Box(4, 0, 8, 4, (10, 10)),  # shares an edge
        Box(4, 4, 8, 8, (10, 10)),  # shares a corner
        Box(6, 6, 8, 8, (10, 10)),  # apart
        Box(2, 2, 2, 4, (10, 10)),  # without area
        Box(3, 3, 1, 1, (10, 10)),  # corners the wrong way round
    ],
)
def test_boxes_that_share_no_area_do_not_overlap(other):
    box = Box(0, 0, 4, 4, (10, 10))
    assert iou(box, other) == iou(other, box) == 0


def test_a_box_overlaps_itself_completely_whatever_its_size():
    assert iou(box := Box(0.5, 0.25, 0.75, 0.5, (1, 1)), box) == 1


def test_converting_there_and_back_gives_the_same_box():
    box = Box(3, 5, 40, 70, (96, 80))
    back = box.to((1000, 1000)).to((96, 80))
    assert (back.x0, back.y0, back.x1, back.y1) == pytest.approx((3, 5, 40, 70))
    assert back.frame == (96, 80)


def test_each_axis_is_converted_with_its_own_scale():
    assert Box(10, 10, 20, 20, (100, 200)).to((1000, 1000)) == Box(100, 50, 200, 100, (1000, 1000))


@pytest.mark.parametrize(
    ("box", "valid"),
    [
        (Box(0, 0, 96, 96, (96, 96)), True),
        (Box(1, 2, 1, 9, (96, 96)), False),  # no width
        (Box(1, 9, 5, 2, (96, 96)), False),  # upside down
        (Box(-1, 0, 5, 5, (96, 96)), False),  # left of the picture
        (Box(90, 0, 97, 5, (96, 96)), False),  # right of the picture
        (Box(0, 90, 5, 97, (96, 200)), True),  # high pictures are allowed
        (Box(float("nan"), 0, 5, 5, (96, 96)), False),
    ],
)
def test_a_box_is_valid_if_it_has_an_area_inside_its_frame(box, valid):
    assert box.valid is valid


def test_a_box_with_swapped_corners_has_no_area():
    assert Box(5, 5, 1, 9, (10, 10)).area == 0
    assert Box(1, 5, 5, 9, (10, 10)).area == 16


def test_growing_adds_a_share_on_every_side_and_stays_in_the_frame():
    assert Box(40, 40, 60, 80, (100, 100)).grown(0.25) == Box(35, 30, 65, 90, (100, 100))
    assert Box(0, 90, 10, 100, (100, 100)).grown(1) == Box(0, 80, 20, 100, (100, 100))


def test_rows_of_numbers_become_boxes_of_one_frame():
    boxes = boxes_from([[1, 2, 3, 4], [5, 6, 7, 8]], (10, 20))
    assert boxes == [Box(1, 2, 3, 4, (10, 20)), Box(5, 6, 7, 8, (10, 20))]
