"""Documents show what they say: text lies in its box, bars are as high as their values."""

import random

import numpy as np
import pytest

from tasks.world import documents
from tasks.world.lexicon import COLORS, ITEMS, MONTHS, SIDE, TITLE_KINDS, TITLE_SUBJECTS, TRENDS
from tasks.world.pictures import Picture, font

DRAWERS = {
    "chart": documents.draw_chart,
    "table": documents.draw_table,
    "receipt": documents.draw_receipt,
    "report": documents.draw_report,
}


def pages(kind: str, number: int, seed: int = 0) -> list[Picture]:
    rng = random.Random(seed)
    return [DRAWERS[kind](rng) for _ in range(number)]


def pixels(page: Picture) -> np.ndarray:
    return np.asarray(page.frames[0]).astype(int)


@pytest.mark.parametrize("kind", DRAWERS)
def test_every_text_fills_its_box_to_within_three_pixels(kind):
    checked = 0
    for page in pages(kind, 60):
        dark = pixels(page).max(-1) < 110
        for fact in [*page.facts, *page.texts.values()]:
            box = fact.box
            assert box.valid
            left, top = int(box.x0), int(box.y0)
            rows, columns = np.nonzero(dark[top : round(box.y1) + 1, left : round(box.x1) + 1])
            extent = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            expected = box.x0 - left, box.y0 - top, box.x1 - left, box.y1 - top
            assert np.abs(np.subtract(extent, expected)).max() <= 3, (fact, extent, expected)
            checked += 1
    assert checked > 100


@pytest.mark.parametrize("kind", ["chart", "report"])
def test_a_bar_has_its_colour_and_its_height_is_proportional_to_its_value(kind):
    for page in pages(kind, 60):
        seen, bars = pixels(page), []
        for fact in page.facts:
            middle = int((fact.box.x0 + fact.box.x1) / 2)
            column = seen[int(fact.box.y1) :, middle]
            bars.append((int((column == COLORS[fact.color]).all(-1).sum()), int(fact.text)))
        highest, largest = max(bars, key=lambda bar: bar[1])
        if largest < 30:
            continue
        for height, value in bars:
            assert abs(height - highest * value / largest) <= 2.5, (page.content, bars)


def test_the_total_of_a_receipt_is_the_sum_of_its_prices():
    for page in pages("receipt", 100):
        *prices, total = (int(fact.text) for fact in page.facts)
        assert page.facts[-1].keys == ("Total",) and total == sum(prices)


def test_a_table_has_a_value_for_every_row_and_column():
    for page in pages("table", 50):
        rows, columns = ({fact.keys[i] for fact in page.facts} for i in (0, 1))
        assert {fact.keys for fact in page.facts} == {(r, c) for r in rows for c in columns}
        assert len(page.facts) == len(rows) * len(columns) and len(columns) == 2


@pytest.mark.parametrize("kind", DRAWERS)
def test_the_content_names_every_value(kind):
    for page in pages(kind, 30):
        assert page.content.startswith(kind)
        assert all(" ".join([*fact.keys, fact.text]) in page.content for fact in page.facts)
        assert all(fact.text in page.content for fact in page.texts.values()) or kind == "receipt"


@pytest.mark.parametrize("kind", DRAWERS)
def test_the_same_seed_draws_the_same_page(kind):
    one, again, other = pages(kind, 1, 3)[0], pages(kind, 1, 3)[0], pages(kind, 1, 4)[0]
    assert (one.content, one.frames[0].tobytes()) == (again.content, again.frames[0].tobytes())
    assert one.frames[0].tobytes() != other.frames[0].tobytes()


def crops(number: int) -> list[Picture]:
    rng = random.Random(0)
    return [documents.draw_crop(rng) for _ in range(number)]


def test_a_crop_of_a_text_shows_ink_around_the_middle_of_the_page():
    texts = [page for page in crops(150) if page.facts[0].text != "nothing"]
    assert 100 < len(texts) < 148
    for page in texts:
        middle = pixels(page)[SIDE // 2 - 6 : SIDE // 2 + 6, SIDE // 2 - 10 : SIDE // 2 + 10]
        assert middle.max(-1).min() < 110


def test_a_crop_that_says_nothing_shows_no_text():
    """Bars and lines may be seen; letters, which alone have the colour (20, 20, 20), may not."""
    empty = [page for page in crops(400) if page.facts[0].text == "nothing"]
    assert len(empty) > 30
    for page in empty:
        assert not (pixels(page) == 20).all(-1).any()


def test_the_lines_of_a_report_fit_the_page():
    lines = [f"{item} {trend} in {month}" for item in ITEMS for trend in TRENDS for month in MONTHS]
    assert 4 + max(font(10).getlength(line) for line in lines) <= SIDE


def test_the_titles_of_a_report_fit_the_page():
    titles = [f"{subject} {kind}" for subject in TITLE_SUBJECTS for kind in TITLE_KINDS]
    longest = max(titles, key=font(12).getlength)
    pages = (documents.draw_report(random.Random(seed)) for seed in range(2000))
    page = next(page for page in pages if page.texts["title"].text == longest)
    left = min(4, SIDE - 1 - font(12).getlength(longest))
    assert left >= 0
    assert page.texts["title"].box.x1 <= left + font(12).getlength(longest) + 1 <= SIDE
