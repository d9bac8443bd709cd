"""Draws pages with all that Light-ColPali's experiment asks about them."""

import random
from pathlib import Path
from typing import Any

from tasks.records.images import to_png
from tasks.records.pages import Page, Question, write_pages, write_questions
from tasks.world.pages import Asked, draw_sets, put, value_asked

QUERIES = 5  # synthetic ones of a page, for pruning by score


def write_page_sets(folder: Path, seed: int, sizes: dict[str, int], near: int) -> dict[str, int]:
    """Write `pages` and `questions` of all sets and splits.

    A question's details hold the boxes of what it names, the pages of its family, and what the
    page is asked for once it is found. A page's hold synthetic questions, none of which names
    what the page's own question names.

    Args:
        sizes, near: As in `tasks.world.pages.draw_sets`.

    Returns:
        How many questions each split has.
    """
    drawn = draw_sets(seed, sizes, near)
    there = {one.id for one in drawn}
    write_pages((_page(one, _synthetic(seed, one)) for one in drawn), folder / "pages")
    write_questions([_question(one, there) for one in drawn], folder / "questions")
    return {split: sum(one.split == split for one in drawn) for split in sizes}


def _synthetic(seed: int, one: Asked) -> list[str]:
    rng = random.Random(f"synthetic/{seed}/{one.id}")
    asked = {fact.words for fact in one.facts}
    others = [fact for fact in one.page.facts if fact.words not in asked]
    if not others:
        return []
    return [put(rng, rng.sample(others, min(len(others), rng.randint(1, 3))))
            for _ in range(QUERIES)]  # fmt: skip


def _page(one: Asked, synthetic: list[str]) -> Page:
    details = {"split": one.split, "synthetic": synthetic}
    return Page(one.id, one.id, 1, to_png(one.page.image), details)


def _question(one: Asked, there: set[str]) -> Question:
    details: dict[str, Any] = {
        "boxes": {one.id: [list(fact.box) for fact in one.facts]},
        "negatives": [name for name in one.family if name in there],
    }
    if asked := value_asked(one.page, one.facts[0]):
        details["value"] = {"prompt": asked.prompt, "answer": asked.answer}
    return Question(one.id, one.question, {one.id: 1}, one.set, one.split, details)
