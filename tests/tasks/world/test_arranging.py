"""Drawn things are where their facts say, and never touch; seen in the pixels, too."""

import random

import numpy as np
import pytest
from scipy import ndimage

from tasks.world import arranging
from tasks.world.arranging import FRAMES, THINGS, Moving, content, draw_in, draw_spoilt, draw_things
from tasks.world.drawing import split_of
from tasks.world.facts import FLICKERS, STEADY, STILL, facts_wrong
from tasks.world.lexicon import CELLS, COLORS, SIDE

KINDS = ("scene", "clip")


def seen(frame) -> list[tuple[str, str]]:
    """Read colour and cell of every connected spot of a frame."""
    pixels = np.asarray(frame).astype(int)
    inked = np.abs(pixels - pixels[0, 0]).sum(2) > 60
    spots, number = ndimage.label(inked, structure=np.ones((3, 3)))
    found = []
    for spot in range(1, number + 1):
        rows, columns = np.nonzero(spots == spot)
        color = np.median(pixels[rows, columns], axis=0)
        name = min(COLORS, key=lambda c: np.abs(np.array(COLORS[c]) - color).sum())
        middle = [int(v.min() + v.max()) // 2 * 3 // SIDE for v in (rows, columns)]
        found.append((name, CELLS[3 * middle[0] + middle[1]]))
    return sorted(found)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_never_touch(kind):
    for i in range(200):
        shapes = draw_things(random.Random(i), kind)
        for t in range(FRAMES):
            now = [s.at(t) if isinstance(s, Moving) else s for s in shapes]
            for a in range(THINGS):
                assert now[a].radius < now[a].x < SIDE - now[a].radius
                for b in range(a):
                    reach = now[a].radius + now[b].radius + 1
                    away = abs(now[a].x - now[b].x), abs(now[a].y - now[b].y)
                    assert max(away) >= reach, (now[a], now[b])


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_show_the_colours_and_places(kind):
    for i in range(25):
        rng = random.Random(i)
        shapes = draw_spoilt(rng, arranging.things_of(draw_things(rng, kind)), 2, "train")
        for t, frame in enumerate(arranging.rendered(rng, shapes).frames):
            now = [s.at(t) if isinstance(s, Moving) else s for s in shapes]
            colors = sorted(s.color for s in now)
            assert sorted(color for color, _ in seen(frame)) == colors
            if t in (0, FRAMES - 1):  # between them something is on its way from cell to cell
                assert seen(frame) == sorted((s.color, s.cell) for s in now)


def test_what_moves_crosses_into_the_next_cell():
    ways = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), STILL: (0, 0)}
    for i in range(100):
        for item in draw_things(random.Random(i), "clip"):
            first, last = CELLS.index(item.cell), CELLS.index(item.last.cell)
            assert (last % 3 - first % 3, last // 3 - first // 3) == ways[item.motion]


def test_what_flickers_has_another_colour_in_the_middle_only():
    things = [("red", "star", "up", FLICKERS), ("blue", "cross", STILL, STEADY)]
    star, cross = arranging.arranged(random.Random(0), things)
    assert [star.at(t).color == "red" for t in range(FRAMES)] == [True, False, True]
    assert {cross.at(t).color for t in range(FRAMES)} == {"blue"}


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_come_from_left_to_right_and_tell_their_facts(kind):
    for i in range(50):
        rng = random.Random(i)
        shapes = draw_things(rng, kind)
        places = [item.x for item in shapes]
        assert all(b - a >= 3 for a, b in zip(places, places[1:], strict=False))
        things = arranging.things_of(shapes)
        assert len({thing[:2] for thing in things}) == THINGS
        again = arranging.arranged(rng, things)
        assert arranging.things_of(again) == things


@pytest.mark.parametrize("kind", KINDS)
def test_the_split_of_a_picture_depends_on_what_it_shows(kind):
    rng = random.Random(kind)
    shapes = draw_in(rng, kind, "test")
    pictures = [arranging.rendered(random.Random(i), shapes) for i in range(3)]
    assert {split_of(picture.content) for picture in pictures} == {"test"}
    assert {picture.content for picture in pictures} == {content(shapes[::-1])}
    spoilt = draw_spoilt(rng, arranging.things_of(shapes), 2, "dev")
    assert split_of(content(spoilt)) == "dev"
    assert facts_wrong(arranging.things_of(spoilt), arranging.things_of(shapes)) == 2
