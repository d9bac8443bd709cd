"""Scenes of coloured shapes, and short clips in which one of them moves."""

import math
import random
from dataclasses import replace

from PIL import Image, ImageDraw

from tasks.world.lexicon import COLORS, SHAPES, SIDE, SIZES
from tasks.world.pictures import Mark, Picture, Shape, blank

CLIP_FRAMES = 4
RADII = {"small": (6, 8), "large": (11, 14)}
MOTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def draw_scene(rng: random.Random, shapes: tuple[str, ...] = SHAPES) -> Picture:
    """Draw one to five shapes that do not touch.

    Half of the scenes draw their colours and shapes from small pools, so that counts above one are
    common: with independent draws "how many red circles" is answered by "1" in most pictures.
    """
    count = rng.choice((1, 2, 2, 3, 3, 4, 4, 5))
    if rng.random() < 0.5:
        return scene_of(rng, _place(rng, count, shapes, tuple(COLORS)))
    pool = rng.sample(shapes, 2), rng.sample(tuple(COLORS), 2)
    return scene_of(rng, _place(rng, count, *pool))


def scene_of(
    rng: random.Random, shapes: list[Shape], background: Image.Image | None = None
) -> Picture:
    """Render given shapes; colours and, where none is given, the background vary with `rng`."""
    image = background or blank(rng)
    tints = [_tint(rng, item.color) for item in shapes]
    for item, tint in zip(shapes, tints, strict=True):
        _draw(ImageDraw.Draw(image), item, tint)
    return Picture("scene", [image], content_of(shapes), shapes=shapes, marks=_marks(shapes))


def draw_clip(rng: random.Random) -> Picture:
    """Draw four frames in which one of one to three shapes moves in a straight line."""
    motion = rng.choice(list(MOTIONS))
    dx, dy = MOTIONS[motion]
    while True:
        shapes = _place(rng, rng.choice((1, 2, 2, 3)), SHAPES, tuple(COLORS))
        mover = rng.randrange(len(shapes))
        step = rng.randint(5, 8)
        tracks = [
            [
                replace(s, x=s.x + dx * step * t, y=s.y + dy * step * t) if i == mover else s
                for i, s in enumerate(shapes)
            ]
            for t in range(CLIP_FRAMES)
        ]
        if _inside(tracks[-1][mover]) and not any(_touching(track) for track in tracks):
            break
    content = f"clip {mover} {motion} {content_of(shapes)}"
    picture = Picture("clip", filmed(rng, tracks), content, shapes=shapes, motion=motion)
    shapes.insert(0, shapes.pop(mover))  # the mover first: questions are about it
    return picture


def filmed(rng: random.Random, tracks: list[list[Shape]]) -> list[Image.Image]:
    """Render the shapes of every frame; what keeps its colour keeps its tint."""
    background = blank(rng)
    tints = [_tint(rng, item.color) for item in tracks[0]]
    frames = []
    for track in tracks:
        frame: Image.Image = background.copy()
        for item, first, tint in zip(track, tracks[0], tints, strict=True):
            fill = tint if item.color == first.color else COLORS[item.color]
            _draw(ImageDraw.Draw(frame), item, fill)
        frames.append(frame)
    return frames


def _place(
    rng: random.Random, count: int, shapes: list[str] | tuple, colors: list[str] | tuple
) -> list[Shape]:
    placed: list[Shape] = []
    for _ in range(200):
        if len(placed) == count:
            break
        size = rng.choice(SIZES)
        radius = rng.randint(*RADII[size])
        x, y = (
            rng.randint(radius + 1, SIDE - radius - 2),
            rng.randint(radius + 1, SIDE - radius - 2),
        )
        item = Shape(rng.choice(shapes), rng.choice(colors), size, x, y, radius)
        # three pixels apart horizontally, so that "left to right" is never a matter of taste
        if not any(_near(item, other) or abs(x - other.x) < 3 for other in placed):
            placed.append(item)
    return sorted(placed, key=lambda item: item.x)


def _near(a: Shape, b: Shape) -> bool:
    reach = a.radius + b.radius + 1
    return abs(a.x - b.x) < reach and abs(a.y - b.y) < reach


def _touching(shapes: list[Shape]) -> bool:
    return any(_near(a, b) for i, a in enumerate(shapes) for b in shapes[:i])


def _inside(item: Shape) -> bool:
    return all(item.radius < v < SIDE - item.radius for v in (item.x, item.y))


def content_of(shapes: list[Shape]) -> str:
    """Say what a scene shows; where exactly, and how it was rendered, does not count."""
    return "; ".join(f"{s.size} {s.color} {s.shape} {s.cell}" for s in shapes)


def _marks(shapes: list[Shape]) -> list[Mark]:
    return [Mark((s.shape, s.color, s.size), s.box.grown(-0.05)) for s in shapes]


def _tint(rng: random.Random, color: str) -> tuple[int, ...]:
    return tuple(max(0, min(255, v + rng.randint(-14, 14))) for v in COLORS[color])


def _draw(draw: ImageDraw.ImageDraw, item: Shape, fill: tuple[int, ...]) -> None:
    x, y, r = item.x, item.y, item.radius
    match item.shape:
        case "circle":
            draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)
        case "square":
            draw.rectangle([x - r, y - r, x + r, y + r], fill=fill)
        case "triangle":
            draw.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill=fill)
        case "diamond":
            draw.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], fill=fill)
        case "cross":
            arm = max(2, r // 3)
            draw.rectangle([x - arm, y - r, x + arm, y + r], fill=fill)
            draw.rectangle([x - r, y - arm, x + r, y + arm], fill=fill)
        case "star":
            angles = [-math.pi / 2 + i * math.pi / 5 for i in range(10)]
            radii = [r if i % 2 == 0 else 0.42 * r for i in range(10)]
            points = zip(angles, radii, strict=True)
            draw.polygon([(x + q * math.cos(a), y + q * math.sin(a)) for a, q in points], fill=fill)
        case "ring":
            draw.ellipse([x - r, y - r, x + r, y + r], outline=fill, width=max(2, r // 3))
        case "heart":
            draw.ellipse([x - r, y - r, x, y], fill=fill)
            draw.ellipse([x, y - r, x + r, y], fill=fill)
            shoulder = y - 0.3 * r
            draw.polygon([(x - r + 1, shoulder), (x + r - 1, shoulder), (x, y + r)], fill=fill)
        case unknown:
            raise ValueError(f"{unknown!r} is not a shape that can be drawn")
