"""Puts things where their facts say, apart from each other, and renders them as scene or clip.

>>> shapes = arranged(random.Random(0), [("red", "star", "top left"), ("blue", "cross", "center")])
>>> [(item.name, item.cell) for item in shapes]
[('red star', 'top left'), ('blue cross', 'center')]

Each thing stays within cells of its own, of which no other uses one: drawn shapes never touch.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.world import scenes
from tasks.world.drawing import split_of
from tasks.world.facts import FLICKERS, STEADY, STILL, VALUES, Thing, spoiled
from tasks.world.lexicon import CELLS, COLORS, SIDE, SIZES
from tasks.world.pictures import Picture, Shape

THINGS, FRAMES = 3, 3
CELL = SIDE // 3
APART = 3  # pixels, horizontally, so that "left to right" is never a matter of taste
ROOMS = 20  # starts that are tried for the things of a clip


@dataclass(slots=True)
class Moving(Shape):
    """A shape of a clip, as it is first.

    Attributes:
        motion: Where it moves, by one cell in all.
        flash: Its colour in the middle of the clip, where that is another one.
    """

    motion: str = STILL
    flash: str = ""

    @property
    def last(self) -> "Moving":
        """The shape as it is in the last frame."""
        return self.at(FRAMES - 1)

    def at(self, frame: int) -> "Moving":
        """Return the shape as it is in a frame."""
        dx, dy = _way(self.motion)
        step = CELL * frame // (FRAMES - 1)
        color = self.flash if self.flash and 0 < frame < FRAMES - 1 else self.color
        return replace(self, x=self.x + dx * step, y=self.y + dy * step, color=color)


def draw_things(rng: random.Random, kind: str) -> list[Shape]:
    """Draw three different things, from left to right; of a clip at least one moves.

    Args:
        kind: `scene` or `clip`.
    """
    while True:
        things = [tuple(map(rng.choice, VALUES[kind])) for _ in range(THINGS)]
        if kind == "clip":
            things = [(*thing[:-1], STEADY) for thing in things]
            if all(thing[2] == STILL for thing in things):
                continue
        if len({thing[:2] for thing in things}) == THINGS and (shapes := arranged(rng, things)):
            return sorted(shapes, key=lambda item: item.x)


def draw_in(rng: random.Random, kind: str, split: str) -> list[Shape]:
    """Draw things of which a picture belongs to the split."""
    while True:
        shapes = draw_things(rng, kind)
        if split_of(content(shapes)) == split:
            return shapes


def draw_spoilt(
    rng: random.Random, things: Sequence[Thing], faults: int, split: str, tries: int = 100
) -> list[Shape] | None:
    """Draw things with so many facts wrong, of which a picture belongs to the split.

    None where none was found: it may be that no such picture does.
    """
    kind = "scene" if len(things[0]) == len(VALUES["scene"]) else "clip"
    for _ in range(tries):
        changed = spoiled(rng, things, faults, VALUES[kind])
        shapes = arranged(rng, changed) if changed else None
        if shapes and split_of(content(shapes)) == split:
            return sorted(shapes, key=lambda item: item.x)
    return None


def things_of(shapes: Sequence[Shape]) -> list[Thing]:
    """Return the facts about each shape of a scene or a clip."""
    return [
        (s.color, s.shape, s.motion, FLICKERS if s.flash else STEADY)
        if isinstance(s, Moving) else (s.color, s.shape, s.cell)
        for s in shapes
    ]  # fmt: skip


def content(shapes: Sequence[Shape]) -> str:
    """Return what a picture of these shapes says, by which splits are made."""
    shapes = sorted(shapes, key=lambda item: item.x)
    said = scenes.content_of(shapes)
    moving = [item for item in shapes if isinstance(item, Moving)]
    return said if not moving else f"clip {said} " + "; ".join(
        f"{item.motion} {item.flash or STEADY}" for item in moving
    )  # fmt: skip


def rendered(rng: random.Random, shapes: list[Shape]) -> Picture:
    """Render a scene, or a clip where its things can move."""
    moving = [item for item in shapes if isinstance(item, Moving)]
    if not moving:
        return scenes.scene_of(rng, shapes)
    tracks: list[list[Shape]] = [[item.at(t) for item in moving] for t in range(FRAMES)]
    return Picture("clip", scenes.filmed(rng, tracks), content(shapes), shapes=shapes)


def arranged(rng: random.Random, things: Sequence[Thing]) -> list[Shape] | None:
    """Return a shape for each thing, in their order; None where they do not fit in side by side."""
    found = _cells(rng, things)
    if found is None:
        return None
    while True:
        shapes = [_in_cell(rng, thing, cell) for thing, cell in zip(things, found, strict=True)]
        places = sorted(item.x for item in shapes)
        if all(b - a >= APART for a, b in zip(places, places[1:], strict=False)):
            return shapes


def _cells(rng: random.Random, things: Sequence[Thing]) -> list[int] | None:
    """Return the first cell of each thing, where no other thing passes."""
    if len(things[0]) == len(VALUES["scene"]):
        cells = [CELLS.index(thing[2]) for thing in things]
        return cells if len(set(cells)) == len(cells) else None
    for _ in range(ROOMS):
        paths = [rng.choice(_paths(thing[2])) for thing in things]
        if len({cell for path in paths for cell in path}) == sum(map(len, paths)):
            return [path[0] for path in paths]
    return None


def _paths(motion: str) -> list[tuple[int, ...]]:
    """Return the cells that something can pass which moves so, first to last."""
    dx, dy = _way(motion)
    inside = [
        (cell, cell + dx + 3 * dy) for cell in range(9)
        if 0 <= cell % 3 + dx < 3 and 0 <= cell // 3 + dy < 3
    ]  # fmt: skip
    return [tuple(dict.fromkeys(path)) for path in inside]


def _in_cell(rng: random.Random, thing: Thing, cell: int) -> Shape:
    size = rng.choice(SIZES)
    radius = rng.randint(*scenes.RADII[size])
    x, y = (
        CELL * place + rng.randint(radius + 1, CELL - 2 - radius) for place in (cell % 3, cell // 3)
    )
    if len(thing) == len(VALUES["scene"]):
        return Shape(thing[1], thing[0], size, x, y, radius)
    flash = rng.choice([c for c in COLORS if c != thing[0]]) if thing[3] == FLICKERS else ""
    return Moving(thing[1], thing[0], size, x, y, radius, thing[2], flash)


def _way(motion: str) -> tuple[int, int]:
    return scenes.MOTIONS.get(motion, (0, 0))
