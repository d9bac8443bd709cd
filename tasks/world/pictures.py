"""What every micro-world picture is: its frames, its truth, and what each patch of it shows."""

import random
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

from tasks.records.boxes import Box
from tasks.world.lexicon import CELLS, SIDE

PIXELS = (SIDE, SIDE)
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_fonts: dict[int, ImageFont.FreeTypeFont] = {}
_widths: dict[tuple[int, str], float] = {}


@dataclass(slots=True)
class Shape:
    """One coloured shape of a scene, in pixels."""

    shape: str
    color: str
    size: str
    x: int
    y: int
    radius: int

    @property
    def box(self) -> Box:
        """The square around the shape."""
        r = self.radius
        return Box(self.x - r, self.y - r, self.x + r, self.y + r, PIXELS)

    @property
    def cell(self) -> str:
        """The ninth of the picture that holds the centre, in words."""
        return CELLS[min(2, self.y * 3 // SIDE) * 3 + min(2, self.x * 3 // SIDE)]

    @property
    def name(self) -> str:
        """Colour and shape, as in "red circle"."""
        return f"{self.color} {self.shape}"


@dataclass(slots=True)
class Fact:
    """A written value of a document: what it belongs to, the text itself, and where it stands."""

    keys: tuple[str, ...]
    text: str
    box: Box
    color: str = ""


@dataclass(slots=True)
class Mark:
    """What an area of the picture shows: labels for the auxiliary patch head of pretraining."""

    labels: tuple[str, ...]
    box: Box


@dataclass(slots=True)
class Picture:
    """A rendered picture (or clip) with its complete truth.

    Attributes:
        content: What the picture says without how it was rendered; splits are made by it.
        shapes: Scenes and clips only, left to right.
        facts: Documents only, in reading order.
        texts: Documents only: named texts such as the title.
        labels: Documents only: what its values belong to, by text.
    """

    kind: str
    frames: list[Image.Image]
    content: str
    shapes: list[Shape] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    texts: dict[str, Fact] = field(default_factory=dict)
    motion: str = ""
    marks: list[Mark] = field(default_factory=list)
    labels: dict[str, Fact] = field(default_factory=dict)

    @property
    def everything(self) -> list[Fact]:
        """All that is written on a document, each text once."""
        found = [*self.facts, *self.texts.values(), *self.labels.values()]
        return list({(fact.text, fact.box): fact for fact in found}.values())


def blank(rng: random.Random) -> Image.Image:
    """Return an empty picture in a light colour that differs a little every time."""
    level = rng.randint(225, 255)
    color = tuple(max(0, min(255, level + rng.randint(-8, 8))) for _ in range(3))
    return Image.new("RGB", (SIDE, SIDE), color)


def font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, so that no font file has to be shipped."""
    if size not in _fonts:
        _fonts[size] = ImageFont.load_default(size=size)
    return _fonts[size]


def write(
    draw: ImageDraw.ImageDraw, marks: list[Mark], at: tuple[float, float], text: str, size: int = 11
) -> Box:
    """Write `text`, note what each character covers in `marks`, and return the text's box."""
    face = font(size)
    draw.text(at, text, font=face, fill=(20, 20, 20))
    left, top, right, bottom = draw.textbbox(at, text, font=face)
    marks += character_marks(at[0], top, bottom, text, size)
    return Box(max(0, left), max(0, top), min(SIDE, right), min(SIDE, bottom), PIXELS)


def character_marks(x: float, top: float, bottom: float, text: str, size: int) -> list[Mark]:
    """Return what each character of a text covers that starts at `x`."""
    marks, face = [], font(size)
    for character in text:
        if (size, character) not in _widths:
            _widths[size, character] = face.getlength(character)
        width = _widths[size, character]
        if character in CHARACTERS:
            marks.append(Mark((character,), Box(x, top, x + width, bottom, PIXELS)))
        x += width
    return marks
