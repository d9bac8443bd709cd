"""Documents in layouts that the base was never shown: to learn to read anywhere, and to adapt to.

Two sorts. Pages of the *school* (scattered texts, the known families in free geometry) teach to
read and to locate wherever a text stands. The *families* are what GCoT's experiment adapts to from
a few questions, and no page of theirs is ever in a school.
"""

import random
from collections.abc import Callable

from PIL import ImageDraw

from tasks.records.boxes import Box
from tasks.records.images import crop
from tasks.world.lexicon import COLORS, ITEMS, LABELS, MONTHS, SIDE
from tasks.world.pictures import PIXELS, Fact, Mark, Picture, blank, font, write

GREY = (150, 150, 150)
WORDS = (*ITEMS, *ITEMS, *LABELS, *MONTHS, "Total")


class Page:
    """A page on which texts are written, and which remembers where they stand."""

    def __init__(self, rng: random.Random):
        self.rng, self.image = rng, blank(rng)
        self.draw = ImageDraw.Draw(self.image)
        self.marks: list[Mark] = []
        self.facts: list[Fact] = []
        self.labels: dict[str, Fact] = {}

    def width(self, text: str, size: int) -> float:
        """Return how wide a text becomes, in pixels."""
        return font(size).getlength(text)

    def label(self, text: str, x: float, y: float, size: int, middle: bool = False) -> None:
        """Write what a value belongs to."""
        at = x - self.width(text, size) / 2 if middle else x
        box = write(self.draw, self.marks, (at, y), text, size)
        self.labels[text] = Fact((), text, box)

    def value(
        self, keys: tuple[str, ...], number: int, x: float, y: float, size: int,
        middle: bool = False,
    ) -> None:  # fmt: skip
        """Write a value."""
        text = str(number)
        at = x - self.width(text, size) / 2 if middle else x
        self.facts.append(Fact(keys, text, write(self.draw, self.marks, (at, y), text, size)))

    def bar(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Draw a bar in some colour."""
        color = self.rng.choice(list(COLORS))
        self.draw.rectangle([x0, y0, x1, y1], fill=COLORS[color])
        if x1 - x0 > 2 and y1 - y0 > 2:
            self.marks.append(Mark((color,), Box(x0 + 1, y0 + 1, x1 - 1, y1 - 1, PIXELS)))

    def done(self, kind: str) -> Picture:
        """Return the picture with its truth."""
        said = "; ".join(f"{' '.join(fact.keys)} {fact.text}" for fact in self.facts)
        return Picture(
            kind, [self.image], f"{kind} {said}", facts=self.facts, labels=self.labels,
            marks=self.marks,
        )  # fmt: skip


# ---- the school ------------------------------------------------------------------------------


def scattered(rng: random.Random) -> Picture:
    """Write four to eight texts anywhere, in sizes 9 to 12, among lines, frames and bars."""
    page = Page(rng)
    for _ in range(rng.randint(1, 4)):
        _ornament(page)
    taken: list[Box] = []
    for _ in range(rng.randint(4, 8)):
        text = str(rng.randint(1, 99)) if rng.random() < 0.55 else rng.choice(WORDS)
        size = rng.randint(9, 12)
        width = page.width(text, size)
        for _ in range(20):
            x, y = rng.uniform(1, SIDE - 2 - width), rng.uniform(-1, SIDE - 2 - size)
            here = Box(x - 3, y - 1, x + width + 3, y + size + 4, PIXELS)
            if not any(_overlap(here, other) for other in taken):
                taken.append(here)
                page.facts.append(
                    Fact((), text, write(page.draw, page.marks, (x, y), text, size))
                )  # fmt: skip
                break
    return page.done("scattered")


def free_chart(rng: random.Random) -> Picture:
    """Draw a bar chart of the known family, anywhere and in any size."""
    page, size, count = Page(rng), rng.randint(9, 12), rng.randint(2, 5)
    width, height = rng.uniform(17 * count, SIDE - 4), rng.uniform(52, SIDE - 4)
    x, y = rng.uniform(2, SIDE - 2 - width), rng.uniform(0, SIDE - 2 - height)
    floor, half = y + height - size - 2, rng.uniform(2, min(7, width / count / 2 - 2))
    for i, name in enumerate(rng.sample(LABELS, count)):
        number, center = rng.randint(1, 99), x + (i + 0.5) * width / count
        top = y + size + 1 + (floor - y - size - 2) * (1 - number / 99)
        page.bar(center - half, top, center + half, floor)
        page.value((name,), number, center, top - size - 1, size, middle=True)
        page.label(name, center, floor, size, middle=True)
    page.draw.line([x, floor, x + width, floor], fill=(0, 0, 0))
    return page.done("chart")


def free_table(rng: random.Random) -> Picture:
    """Draw a table of the known family, in any row height and column width."""
    page, size = Page(rng), rng.randint(9, 12)
    rows, columns = rng.sample(ITEMS, rng.randint(2, 4)), rng.sample(LABELS, 2)
    height = rng.uniform(size + 3, min(20, (SIDE - 4) / (len(rows) + 1)))
    left, first = rng.uniform(1, 8), rng.uniform(36, 46)
    step = rng.uniform(20, min(30, SIDE - 6 - first - 8))
    top = rng.uniform(0, SIDE - 2 - height * (len(rows) + 1))
    for j, column in enumerate(columns):
        page.label(column, first + j * step, top, size)
        if rng.random() < 0.7:
            page.draw.line([first + j * step - 3, top, first + j * step - 3, SIDE], fill=GREY)
    for i, row in enumerate(rows):
        y = top + (i + 1) * height
        page.label(row, left, y, size)
        if rng.random() < 0.7:
            page.draw.line([0, y, SIDE, y], fill=GREY)
        for j, column in enumerate(columns):
            page.value((row, column), rng.randint(1, 99), first + j * step, y, size)
    return page.done("table")


def free_receipt(rng: random.Random) -> Picture:
    """Draw a receipt of the known family, with its prices in any column."""
    page, size = Page(rng), rng.randint(9, 12)
    names = rng.sample(ITEMS, rng.randint(2, 4))
    prices = [rng.randint(1, 24) for _ in names]
    height = rng.uniform(size + 2, min(18, (SIDE - 4) / (len(names) + 2)))
    left, right = rng.uniform(1, 12), rng.uniform(54, 76)
    top = rng.uniform(0, SIDE - 2 - height * (len(names) + 2))
    page.label("RECEIPT", rng.uniform(4, 30), top, size)
    for i, (name, price) in enumerate(zip(names, prices, strict=True), start=1):
        page.label(name, left, top + i * height, size)
        page.value((name,), price, right, top + i * height, size)
    y = top + (len(names) + 1) * height
    page.draw.line([4, y, SIDE - 4, y], fill=(0, 0, 0))
    page.label("Total", left, y, size)
    page.value(("Total",), sum(prices), right, y, size)
    return page.done("receipt")


def free_pairs(rng: random.Random) -> Picture:
    """Write three to six names with their values on one side of each, in loose rows and columns."""
    page, size = Page(rng), rng.randint(9, 12)
    side = rng.choice(("right", "left", "below", "above"))
    beside = side in ("right", "left")
    columns = 1 if beside else rng.choice((1, 2))
    rows = rng.randint(3, 5) if beside else rng.randint(2, 3)
    for _ in range(rng.randint(0, 2)):
        _ornament(page)
    names = rng.sample(rng.choice((ITEMS, tuple(LABELS))), rows * columns)
    height, width, digits = SIDE / rows, SIDE / columns, page.width("88", size)
    widest = max(page.width(name, size) for name in names)
    gap = rng.uniform(3, 22)
    room = widest + gap + digits if beside else max(widest, digits)
    tall = size + 4 if beside else 2 * size + 5
    left = rng.uniform(1, max(1.0, width - room - 2))
    for i, name in enumerate(names):
        x = (i % columns) * width + left
        y = (i // columns) * height + rng.uniform(0, max(0.0, height - tall))
        name_at, value_at = {
            "right": ((x, y), (x + widest + gap, y)), "left": ((x + digits + gap, y), (x, y)),
            "below": ((x, y), (x, y + size + 1)), "above": ((x, y + size + 1), (x, y)),
        }[side]  # fmt: skip
        page.label(name, *name_at, size)
        page.value((name,), rng.randint(1, 99), *value_at, size)
    return page.done("pairs")


def school_crop(rng: random.Random) -> Picture:
    """Draw a page of the school, and keep the crop around one of its texts.

    Its content is that of the whole page, so that no crop shows a page of another split.
    """
    whole = rng.choice((scattered, free_chart, free_table, free_receipt, free_pairs))(rng)
    fact = rng.choice(whole.everything)
    shaken = Box(
        *(max(0, min(SIDE, v + rng.uniform(-1.5, 1.5))) for v in fact.box.corners()), frame=PIXELS
    )
    box = shaken if shaken.valid else fact.box
    image = crop(whole.frames[0], box.grown(rng.choice((0, 0, 0.25))))
    return Picture("crop", [image], whole.content, facts=[fact])


# ---- the families that an experiment adapts to -------------------------------------------------


def horizontal_bars(rng: random.Random) -> Picture:
    """Draw three or four bars to the right, each with its name before and its value behind it."""
    page, names = Page(rng), rng.sample(ITEMS, rng.randint(3, 4))
    height = SIDE / len(names)
    for i, name in enumerate(names):
        number, y = rng.randint(1, 99), i * height + height / 2
        end = 36 + 42 * number / 99
        page.bar(35, y - 5, end, y + 5)
        page.label(name, 2, y - 7, 11)
        page.value((name,), number, end + 3, y - 7, 11)
    return page.done("horizontal bars")


def tiles(rng: random.Random) -> Picture:
    """Draw four or six framed tiles, each with a name above its value."""
    page, columns = Page(rng), rng.choice((2, 3))
    names = rng.sample(ITEMS, 2 * columns)
    width = SIDE / columns
    for i, name in enumerate(names):
        x, y = (i % columns) * width, (i // columns) * SIDE / 2
        page.draw.rectangle([x + 1, y + 1, x + width - 2, y + SIDE / 2 - 2], outline=GREY)
        page.label(name, x + width / 2, y + 6, 10, middle=True)
        page.value((name,), rng.randint(1, 99), x + width / 2, y + 24, 12, middle=True)
    return page.done("tiles")


def wide_table(rng: random.Random) -> Picture:
    """Draw a table of three rows and three lettered columns."""
    page = Page(rng)
    rows, columns = rng.sample(ITEMS, 3), rng.sample(LABELS, 3)
    for j, column in enumerate(columns):
        page.label(column, 44 + j * 20, 6, 10, middle=True)
    for i, row in enumerate(rows):
        y = 26 + i * 22
        page.draw.rectangle([0, y - 3, SIDE, y + 16], outline=GREY)
        page.label(row, 2, y, 10)
        for j, column in enumerate(columns):
            page.value((row, column), rng.randint(1, 99), 44 + j * 20, y, 10, middle=True)
    return page.done("wide table")


def price_list(rng: random.Random) -> Picture:
    """Draw a list of four or five names, each behind its price."""
    page, names = Page(rng), rng.sample(ITEMS, rng.randint(4, 5))
    height = SIDE / len(names)
    for i, name in enumerate(names):
        y = i * height + 3
        page.value((name,), rng.randint(1, 99), 8, y, 12)
        page.label(name, 40, y, 11)
        page.draw.line([4, y + height - 4, SIDE - 4, y + height - 4], fill=GREY)
    return page.done("price list")


def line_chart(rng: random.Random) -> Picture:
    """Draw three to five points on a line, with their values above and their letters below."""
    page, names = Page(rng), sorted(rng.sample(LABELS, rng.randint(3, 5)))
    step = SIDE / len(names)
    numbers = [rng.randint(1, 99) for _ in names]
    points = [((i + 0.5) * step, 18 + 54 * (1 - n / 99)) for i, n in enumerate(numbers)]
    page.draw.line(points, fill=(60, 90, 200), width=1)
    for name, number, (x, y) in zip(names, numbers, points, strict=True):
        page.draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(60, 90, 200))
        page.value((name,), number, x, y - 16, 11, middle=True)
        page.label(name, x, SIDE - 15, 11, middle=True)
    return page.done("line chart")


SCHOOL: dict[str, Callable[[random.Random], Picture]] = {
    "scattered": scattered, "free chart": free_chart, "free table": free_table,
    "free receipt": free_receipt, "free pairs": free_pairs, "school crop": school_crop,
}  # fmt: skip
FAMILIES: dict[str, Callable[[random.Random], Picture]] = {
    "horizontal bars": horizontal_bars, "tiles": tiles, "wide table": wide_table,
    "price list": price_list, "line chart": line_chart,
}  # fmt: skip


def _ornament(page: Page) -> None:
    rng = page.rng
    match rng.choice(("line", "frame", "bar", "bar")):
        case "line":
            at = rng.uniform(0, SIDE)
            flat = rng.random() < 0.6
            page.draw.line([0, at, SIDE, at] if flat else [at, 0, at, SIDE], fill=GREY)
        case "frame":
            x, y = rng.uniform(0, 60), rng.uniform(0, 60)
            right, bottom = x + rng.uniform(20, 60), y + rng.uniform(14, 60)
            page.draw.rectangle([x, y, right, bottom], outline=GREY)
        case _:
            x, y = rng.uniform(0, 80), rng.uniform(0, 70)
            page.bar(x, y, x + rng.uniform(3, 14), y + rng.uniform(4, 25))


def _overlap(a: Box, b: Box) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
