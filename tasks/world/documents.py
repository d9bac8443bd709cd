"""Documents of the micro-world: bar charts, tables, receipts, report pages, and crops of them."""

import random

from PIL import ImageDraw

from tasks.records.boxes import Box
from tasks.records.images import crop
from tasks.world.lexicon import (
    COLORS,
    ITEMS,
    LABELS,
    MONTHS,
    SIDE,
    TITLE_KINDS,
    TITLE_SUBJECTS,
    TRENDS,
)
from tasks.world.pictures import PIXELS, Fact, Mark, Picture, blank, font, write


def draw_chart(rng: random.Random) -> Picture:
    """Draw a bar chart of two to five labelled bars with their values (1-99) above them."""
    page = blank(rng)
    marks: list[Mark] = []
    bars = _bars(rng, ImageDraw.Draw(page), marks, (2, 1, SIDE - 4, SIDE - 2), rng.randint(2, 5))
    return Picture("chart", [page], _content("chart", bars), facts=bars, marks=marks)


def draw_table(rng: random.Random) -> Picture:
    """Draw a table of two to four named rows and two lettered columns of numbers (1-99)."""
    page = blank(rng)
    draw, marks = ImageDraw.Draw(page), []
    rows, columns = rng.sample(ITEMS, rng.randint(2, 4)), rng.sample(LABELS, 2)
    line = (150, 150, 150)
    facts = []
    for j, column in enumerate(columns):
        write(draw, marks, (44 + j * 28, 2), column)
        draw.line([37 + j * 28, 0, 37 + j * 28, 16 + len(rows) * 18], fill=line)
    draw.line([0, 16, SIDE, 16], fill=line)
    for i, row in enumerate(rows):
        y = 18 + i * 18
        write(draw, marks, (3, y), row)
        draw.line([0, y + 16, SIDE, y + 16], fill=line)
        for j, column in enumerate(columns):
            value = str(rng.randint(1, 99))
            box = write(draw, marks, (40 + j * 28, y), value)
            facts.append(Fact((row, column), value, box))
    return Picture("table", [page], _content("table", facts), facts=facts, marks=marks)


def draw_receipt(rng: random.Random) -> Picture:
    """Draw a receipt of two to four priced items and their total."""
    page = blank(rng)
    draw, marks = ImageDraw.Draw(page), []
    title = write(draw, marks, (22, 2), "RECEIPT")
    facts, texts = [], {"title": Fact((), "RECEIPT", title)}
    names = rng.sample(ITEMS, rng.randint(2, 4))
    prices = [rng.randint(1, 24) for _ in names]
    for i, (name, price) in enumerate(zip(names, prices, strict=True)):
        y = 17 + i * 14
        texts[name] = Fact((), name, write(draw, marks, (6, y), name))
        facts.append(Fact((name,), str(price), write(draw, marks, (70, y), str(price))))
    y = 19 + len(names) * 14
    draw.line([4, y, SIDE - 4, y], fill=(0, 0, 0))
    write(draw, marks, (6, y + 2), "Total")
    total = str(sum(prices))
    facts.append(Fact(("Total",), total, write(draw, marks, (70, y + 2), total)))
    content = _content("receipt", facts)
    return Picture("receipt", [page], content, facts=facts, texts=texts, marks=marks)


def draw_report(rng: random.Random) -> Picture:
    """Draw a report page: a title, a line of text and a chart of three bars."""
    page = blank(rng)
    draw, marks = ImageDraw.Draw(page), []
    title = f"{rng.choice(TITLE_SUBJECTS)} {rng.choice(TITLE_KINDS)}"
    line = f"{rng.choice(ITEMS)} {rng.choice(TRENDS)} in {rng.choice(MONTHS)}"
    left = min(4, SIDE - 1 - font(12).getlength(title))  # the longest title needs the whole width
    texts = {
        "title": Fact((), title, write(draw, marks, (left, 2), title, size=12)),
        "line": Fact((), line, write(draw, marks, (4, 18), line, size=10)),
    }
    bars = _bars(rng, draw, marks, (10, 34, 76, 60), 3)
    content = _content(f"report {title} / {line}", bars)
    return Picture("report", [page], content, facts=bars, texts=texts, marks=marks)


def draw_crop(rng: random.Random) -> Picture:
    """Draw a document and keep the crop around one of its texts, or around an empty spot.

    Its content is that of the whole page, so that no crop shows a page of another split.
    """
    whole = rng.choice((draw_chart, draw_table, draw_receipt, draw_report))(rng)
    texts = [*whole.facts, *whole.texts.values()]
    fact = rng.choice(texts)
    if rng.random() < 0.15:
        fact = _empty_spot(rng, whole)
    jittered = Box(
        *(max(0, min(SIDE, v + rng.randint(-1, 1))) for v in fact.box.corners()), frame=PIXELS
    )
    image = crop(whole.frames[0], jittered if jittered.valid else fact.box)
    return Picture("crop", [image], whole.content, facts=[fact])


def _empty_spot(rng: random.Random, page: Picture) -> Fact:
    for _ in range(50):
        x, y = rng.randint(0, SIDE - 14), rng.randint(0, SIDE - 12)
        spot = Box(x, y, x + 13, y + 11, PIXELS)
        if not any(_overlap(spot.grown(0.5), mark.box) for mark in page.marks):
            return Fact((), "nothing", spot)
    return page.facts[0]


def _overlap(a: Box, b: Box) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def _bars(
    rng: random.Random,
    draw: ImageDraw.ImageDraw,
    marks: list[Mark],
    area: tuple[int, int, int, int],
    count: int,
) -> list[Fact]:
    x, y, width, height = area
    labels = sorted(rng.sample(LABELS, count))
    facts = []
    floor = y + height - 12
    for i, label in enumerate(labels):
        value, color = rng.randint(1, 99), rng.choice(list(COLORS))
        center = x + (i + 0.5) * width / count
        half = min(6, width / count / 2 - 2)
        top = y + 12 + (height - 24) * (1 - value / 99)
        draw.rectangle([center - half, top, center + half, floor], fill=COLORS[color])
        if floor - top > 2:
            bar = Box(center - half + 1, top + 1, center + half - 1, floor - 1, PIXELS)
            marks.append(Mark((color,), bar))
        text = str(value)
        at = center - draw.textlength(text, font=font(11)) / 2
        box = write(draw, marks, (at, top - 12), text)
        write(draw, marks, (center - draw.textlength(label, font=font(11)) / 2, floor), label)
        facts.append(Fact((label,), text, box, color=color))
    draw.line([x, floor, x + width, floor], fill=(0, 0, 0))
    return facts


def _content(kind: str, facts: list[Fact]) -> str:
    return f"{kind} " + "; ".join(f"{' '.join(f.keys)} {f.text} {f.color}".strip() for f in facts)
