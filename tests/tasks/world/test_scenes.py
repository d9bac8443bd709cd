"""Scenes show what they say: measured on the pixels, not on the drawing code."""

import random

import numpy as np
import pytest

from tasks.world.lexicon import COLORS, HELD_OUT_SHAPES, SHAPES, SIDE
from tasks.world.pictures import Picture, Shape
from tasks.world.scenes import MOTIONS, draw_clip, draw_scene, scene_of


def painted(image, background: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return which pixels [rows, columns] differ from the background."""
    pixels = np.asarray(image).astype(int)
    return np.abs(pixels - pixels[background]).max(-1) > 0


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return the box around the pixels: left, top, right and lower edge."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("radius", [6, 8, 11, 14])
@pytest.mark.parametrize("shape", SHAPES + HELD_OUT_SHAPES)
def test_the_true_box_is_the_box_around_the_painted_pixels(shape, radius):
    item = Shape(shape, "purple", "large", 40, 52, radius)
    image = scene_of(random.Random(0), [item]).frames[0]
    box = item.box
    gaps = np.subtract(extent(painted(image)), (box.x0, box.y0, box.x1, box.y1)) * (1, 1, -1, -1)
    assert gaps.min() >= -1, "painted pixels lie outside the box"
    # the two lower points of a star end above the circle that its box is drawn around
    assert gaps.max() <= (3 if shape == "star" else 2), "the box is larger than what is painted"


@pytest.mark.parametrize("color", COLORS)
def test_a_shape_has_the_colour_it_is_named_after(color):
    for seed in range(10):
        square = Shape("square", color, "large", 40, 52, 12)
        seen = scene_of(random.Random(seed), [square]).frames[0].getpixel((40, 52))
        nearest = min(
            COLORS, key=lambda c: sum((a - b) ** 2 for a, b in zip(COLORS[c], seen, strict=True))
        )
        assert nearest == color


def test_shapes_neither_touch_nor_leave_the_picture():
    rng = random.Random(0)
    for _ in range(300):
        shapes = draw_scene(rng).shapes
        assert 1 <= len(shapes) <= 5
        for i, a in enumerate(shapes):
            assert a.box.valid
            for b in shapes[:i]:
                apart = a.box.x0 > b.box.x1 or b.box.x0 > a.box.x1
                assert apart or a.box.y0 > b.box.y1 or b.box.y0 > a.box.y1


def test_shapes_are_listed_left_to_right_without_ties():
    rng = random.Random(1)
    for _ in range(300):
        places = [shape.x for shape in draw_scene(rng).shapes]
        assert all(right - left >= 3 for left, right in zip(places, places[1:], strict=False))


def test_the_number_of_separate_spots_is_the_number_of_shapes():
    rng = random.Random(2)
    for _ in range(50):
        scene = draw_scene(rng)
        mask = painted(scene.frames[0], background=(0, 0))
        for shape in scene.shapes:  # wipe each box: nothing may be left
            b = shape.box.corners()
            assert mask[b[1] : b[3] + 1, b[0] : b[2] + 1].any()
            mask[b[1] : b[3] + 1, b[0] : b[2] + 1] = False
        assert not mask.any()


def test_the_cell_of_a_shape_is_the_ninth_that_holds_its_centre():
    def cell(x: int, y: int) -> str:
        return Shape("circle", "red", "small", x, y, 6).cell

    assert (cell(31, 31), cell(32, 31), cell(63, 64)) == ("top left", "top center", "bottom center")
    assert (cell(48, 48), cell(95, 40), cell(0, 95)) == ("center", "middle right", "bottom left")


def test_the_same_seed_draws_the_same_picture_and_another_seed_another_one():
    def drawn(seed: int) -> tuple[str, bytes]:
        scene = draw_scene(random.Random(seed))
        return scene.content, scene.frames[0].tobytes()

    assert drawn(3) == drawn(3)
    assert len({drawn(seed) for seed in range(20)}) == 20


def test_the_content_says_what_is_shown_and_not_how_it_was_rendered():
    shapes = draw_scene(random.Random(4)).shapes
    one, two = (scene_of(random.Random(seed), shapes) for seed in (1, 2))
    assert one.content == two.content
    assert one.frames[0].tobytes() != two.frames[0].tobytes()


def test_other_shapes_are_drawn_only_when_asked_for():
    rng = random.Random(5)
    drawn = {s.shape for _ in range(40) for s in draw_scene(rng, HELD_OUT_SHAPES).shapes}
    assert drawn == set(HELD_OUT_SHAPES)


def test_an_unknown_shape_is_refused_by_name():
    with pytest.raises(ValueError, match="'moon' is not a shape"):
        scene_of(random.Random(0), [Shape("moon", "red", "small", 40, 40, 7)])


def centre(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def test_in_a_clip_exactly_one_shape_moves_and_in_the_direction_it_says():
    rng = random.Random(6)
    for _ in range(60):
        clip: Picture = draw_clip(rng)
        frames = [np.asarray(frame).astype(int) for frame in clip.frames]
        changed = np.abs(frames[0] - frames[-1]).max(-1) > 0
        first, last = (
            changed & painted(frame, background=(0, 0))
            for frame in (clip.frames[0], clip.frames[-1])
        )
        way = centre(last) - centre(first)
        direction = np.array(MOTIONS[clip.motion])
        assert way @ direction >= 10 and abs(way @ direction[::-1]) <= 2
        left, top, right, low = extent(first)
        mover = clip.shapes[0].box  # the mover comes first
        assert (
            mover.x0 <= left and mover.y0 <= top and right <= mover.x1 + 1 and low <= mover.y1 + 1
        )


def test_nothing_in_a_clip_leaves_the_picture_or_meets_another_shape():
    rng = random.Random(7)
    for _ in range(60):
        clip = draw_clip(rng)
        areas = {int(painted(frame).sum()) for frame in clip.frames}
        assert len(areas) == 1  # covered or cut shapes would show fewer pixels
        border = painted(clip.frames[-1])
        assert not (border[0].any() or border[:, 0].any() or border[SIDE - 1].any())
