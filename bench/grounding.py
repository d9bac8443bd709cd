"""Locating texts and reading them back: a page read once beside a page read for every question.

`make bench-grounding` prints the table and writes `bench/grounding.json`. The other side of each
row asks transformers' `generate` one question at a time, or whole prompts 64 at a time; ours is
what GCoT's rounds ask (`tasks/synthesis/grounding/locating.py`): five questions about a page share
it. The same questions are asked, and both sides have to write the same texts.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from bench.asking import AT_ONCE, Models, Rows, Sides, run_rows
from tasks.asking.asker import Asked, Writing
from tasks.asking.conversation import question
from tasks.asking.local import answer_batch
from tasks.prompts import prompt
from tasks.records.images import crop, to_png
from tasks.synthesis.grounding.locating import LOCATE_TOKENS, READ_TOKENS, locate_words
from tasks.world.drawing import draw

WHERE = Path(__file__).with_name("grounding.json")
TARGETS = 5  # of a page
PAGES = {0: 64, 900: 4}


def questions(length: int, models: Models) -> tuple[list[Asked], list[Asked]]:
    """Return where the texts of pages stand, and what is read in their boxes."""
    rng = random.Random(0)
    located, read = [], []
    while len(located) < PAGES[length] * TARGETS:
        page = draw(rng, rng.choice(("chart", "table", "receipt")), "test")
        facts = page.everything[:TARGETS]
        if len(facts) < TARGETS:
            continue
        picture = to_png(page.frames[0])
        if length:  # a picture of as many tokens as the model's own questions have
            [asked] = models.asked(len(located) // TARGETS + 1)[-1:]
            picture = asked[0].images[0]
        located += [Asked(question(locate_words(fact.text), [picture])) for fact in facts]
        shown = [to_png(crop(page.frames[0], fact.box, 0.25)) for fact in facts]
        read += [
            Asked(question(prompt("ground/read_crop"), [picture if length else one]))
            for one in shown
        ]
    return located, read


def located(length: int, alone: bool) -> Sides:
    """Every target of every page, located and read back."""
    models = Models(length)
    asks = questions(length, models)
    size = 20 if length else 128
    sides = [
        models.both(answer_batch, asked, (1 if alone else AT_ONCE, size), Writing(tokens))
        for asked, tokens in zip(asks, (LOCATE_TOKENS, READ_TOKENS), strict=True)
    ]
    theirs, ours = ((lambda k=k: [side[k]() for side in sides]) for k in (0, 1))
    return theirs, ours


def _same(_: str, theirs: Sequence, ours: Sequence) -> None:
    said = [[[a.text for a in row] for row in part] for half in (theirs, ours) for part in half]
    if said[:2] != said[2:]:
        raise AssertionError("the sides write different texts")


ROWS: Rows = {
    "64 pages x 5 targets, one question at a time": (lambda: located(0, True), 6.0),
    "64 pages x 5 targets, in batches": (lambda: located(0, False), 1.4),
    "4 pages x 5 targets in batches, 900 tokens": (lambda: located(900, False), 3.0),
}


if __name__ == "__main__":
    run_rows("bench.grounding", "Locating and reading back", ROWS, WHERE, _same)
