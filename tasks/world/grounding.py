"""Draws what GCoT adapts to from a few questions, and the questions of the school before it.

The families (`tasks/world/layouts.py`) get look-ups and three derived questions: a difference, a
sum, and which of two is more. The school asks neither of a picture: it teaches to read and to
locate anywhere, and to calculate with numbers that stand in the question, in other words.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.prompts import prompt
from tasks.records.boxes import Box
from tasks.records.images import crop, to_png
from tasks.records.rows import Sample
from tasks.world.document_questions import read_crop, value, value_with_boxes
from tasks.world.drawing import SPLITS, split_of
from tasks.world.layouts import FAMILIES, SCHOOL
from tasks.world.lexicon import ITEMS, LABELS
from tasks.world.pictures import Fact, Picture
from tasks.world.questions import Ask
from tasks.world.wording import Question, corners
from tasks.world.writing import write_drawn

DIET = "grounding"  # of `tasks.world.pretraining_data.DIETS`
USED = ("horizontal_bars", "tiles", "price_list", "wide_table")  # by the experiment, chosen on dev
DERIVED = ("difference", "sum", "more")
LARGEST_SUM = 99  # what the base calculates with


# ---- the school ------------------------------------------------------------------------------


def read_any(rng: random.Random, page: Picture) -> Question:
    """Ask what stands in a box, of values and of labels."""
    fact = rng.choice(page.everything)
    return Question("read_box", prompt("ground/read_box", box=corners(fact.box)), fact.text)


def locate_any(rng: random.Random, page: Picture) -> Question | None:
    """Ask where a text stands that occurs once, a value or a label."""
    fact = _single(rng, page)
    return fact and Question(
        "locate", prompt("ground/locate_text", text=fact.text), corners(fact.box),
        boxes=[fact.box], label=fact.text,
    )  # fmt: skip


def paired(rng: random.Random, page: Picture) -> Question:
    """Ask for a value together with what it belongs to, each with its box."""
    fact = rng.choice(page.facts)
    named = [page.labels[key] for key in fact.keys]
    told = " ".join(f"{one.text} {corners(one.box)}" for one in (*named, fact))
    return Question("paired", f"Show {' '.join(fact.keys)} and its value.", told)


def worked(rng: random.Random, _: Picture | None = None) -> Question:
    """Ask to calculate with two numbers that the question gives, inside an answer."""
    a, b = rng.sample(rng.choice((ITEMS, tuple(LABELS))), 2)
    kind = rng.choice(DERIVED)
    x, y = _numbers(rng, kind)
    asked = {"difference": "Subtract them.", "sum": "Add them.", "more": "Whose is larger?"}[kind]
    working, result = _worked_out(kind, (a, x), (b, y))
    answer = f"<think>{working}</think><answer>{result}</answer>"
    return Question("worked", f"{a} has {x}, {b} has {y}. {asked}", answer, final=result)


def worked_samples(rng: random.Random, number: int, pages: Sequence[Sample]) -> list[Sample]:
    """Return calculations to ask, as many without a picture as beside one of some pages."""
    found = []
    for n in range(2 * number):
        question, page = worked(rng), pages[n % len(pages)] if n % 2 else None
        found.append(
            Sample(
                id=f"worked-{n}", task="worked_beside" if page else "worked", split="dev",
                prompt=question.prompt, metric="final", answer=question.answer,
                final=question.final, images=page.images if page else [],
                size=page.size if page else (0, 0),
            )
        )  # fmt: skip
    return found


_SCATTERED: dict[Ask, float] = {read_any: 5.0, locate_any: 2.5, worked: 3.0}
_FREE: dict[Ask, float] = {
    paired: 2.0, value: 2.0, value_with_boxes: 1.0, read_any: 3.0, locate_any: 1.5, worked: 3.0,
}  # fmt: skip
ASKED: dict[str, dict[Ask, float]] = {
    "scattered": _SCATTERED, "school crop": {read_crop: 1.0},
} | dict.fromkeys(("free chart", "free table", "free receipt", "free pairs"), _FREE)  # fmt: skip


def draw_page(rng: random.Random, kind: str) -> Picture:
    """Draw a training page of the school."""
    return _draw(rng, SCHOOL[kind], "train")


# ---- the families ----------------------------------------------------------------------------


def look_up(rng: random.Random, page: Picture) -> Question:
    """Ask for a value."""
    fact = rng.choice(page.facts)
    return Question("value", f"What is the value of {_name(fact)}?", fact.text)


def derived(rng: random.Random, page: Picture, kind: str) -> Question | None:
    """Ask what two values make together; the chain of thought names both and calculates."""
    a, b = rng.sample(page.facts, 2)
    x, y = int(a.text), int(b.text)
    if x == y or (kind == "sum" and x + y > LARGEST_SUM):
        return None
    words = {
        "difference": f"What is the difference between {_name(a)} and {_name(b)}?",
        "sum": f"What is the sum of {_name(a)} and {_name(b)}?",
        "more": f"Which is more, {_name(a)} or {_name(b)}?",
    }[kind]
    working, result = _worked_out(kind, (_name(a), x), (_name(b), y))
    facts = [[_name(fact), fact.text] for fact in (a, b)]
    return Question(
        kind, words, result, details={"facts": facts, "cot": chain(facts, working, result)}
    )


def chain(facts: list[list[str]], working: str, result: str) -> str:
    """Return what a teacher says: both facts, how they are calculated with, and the answer.

    >>> chain([["tea", "72"], ["milk", "3"]], "72 - 3", "69")
    '<think>tea is 72, milk is 3, 72 - 3</think><answer>69</answer>'
    """
    told = ", ".join(f"{name} is {text}" for name, text in facts)
    return f"<think>{told}, {working}</think><answer>{result}</answer>"


PER_PAGE: dict[str, Callable[[random.Random, Picture], Question | None]] = {
    "read_box": read_any, "locate": locate_any, "value": look_up,
} | {
    kind: (lambda rng, page, kind=kind: derived(rng, page, kind)) for kind in DERIVED
}  # fmt: skip
# kind of question: how many about each family, in train, dev and test
SIZES: dict[str, tuple[int, int, int]] = {
    "read_box": (0, 40, 0), "read_crop": (0, 40, 0), "locate": (0, 40, 0), "value": (0, 40, 40),
} | dict.fromkeys(DERIVED, (60, 40, 90))  # fmt: skip


def make_sample(seed: int, split: str, family: str, kind: str, number: int) -> Sample:
    """Draw one question about a page of a family; it depends on its place alone."""
    rng = random.Random(f"grounding/{seed}/{split}/{family}/{kind}/{number}")
    while True:
        page = _draw(rng, FAMILIES[family], split)
        image = page.frames[0]
        if kind == "read_crop":
            fact = rng.choice(page.everything)
            image = crop(image, fact.box)
            question = Question("read_crop", prompt("ground/read_crop"), fact.text)
        else:
            question = PER_PAGE[kind](rng, page)
        if question:
            break
    name = family.replace(" ", "_")
    return Sample(
        id=f"{split}-{name}-{kind}-{number}", task=f"{name}_{kind}", split=split,
        prompt=question.prompt, metric="box" if kind == "locate" else "exact",
        answer=question.answer, images=[to_png(image)],
        corners=[_pixels(box) for box in question.boxes], size=image.size, label=question.label,
        details=question.details
        | {"texts": [[fact.text, _pixels(fact.box)] for fact in page.everything]},
    )  # fmt: skip


def write_grounding_world(folder: Path, seed: int, processes: int = 2) -> int:
    """Write all families as samples, and return how many those are."""
    jobs = [
        (seed, split, family, kind) for split in SPLITS for family in FAMILIES for kind in SIZES
    ]
    return write_drawn(folder, _part, jobs, processes, seed=seed)


def _part(job: tuple[int, str, str, str]) -> list[Sample]:
    seed, split, family, kind = job
    return [
        make_sample(seed, split, family, kind, number)
        for number in range(SIZES[kind][SPLITS.index(split)])
    ]


def _draw(rng: random.Random, make: Callable[[random.Random], Picture], split: str) -> Picture:
    while True:
        page = make(rng)
        if split_of(page.content) == split:
            return page


def _single(rng: random.Random, page: Picture) -> Fact | None:
    texts = [fact.text for fact in page.everything]
    single = [fact for fact in page.everything if texts.count(fact.text) == 1]
    return rng.choice(single) if single else None


def _numbers(rng: random.Random, kind: str) -> tuple[int, int]:
    while True:
        x, y = rng.sample(range(1, 100), 2)
        if kind != "sum" or x + y <= LARGEST_SUM:
            return x, y


def _worked_out(kind: str, a: tuple[str, int], b: tuple[str, int]) -> tuple[str, str]:
    """Return how it is calculated, and the result."""
    (_, x), (_, y) = a, b
    if kind == "sum":
        return f"{x} + {y}", str(x + y)
    high, low = (a, b) if x > y else (b, a)
    if kind == "difference":
        return f"{high[1]} - {low[1]}", str(high[1] - low[1])
    return f"{high[1]} > {low[1]}", high[0]


def _name(fact: Fact) -> str:
    return " ".join(fact.keys)


def _pixels(box: Box) -> list[float]:
    return [round(v, 2) for v in (box.x0, box.y0, box.x1, box.y1)]
