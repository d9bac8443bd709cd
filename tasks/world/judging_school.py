"""The school of a judge: what it has to see, asked cell by cell; no trace, and no verdict.

>>> pictures, [first, *_] = judged_images(random.Random(1))
>>> len(pictures), first.answer.splitlines()[0].partition(";")[0]
(2, '1. Places: Image 1 top left, middle left, bottom center (10/10)')

The base has never seen two pictures at once, and never compared a text with one fact by fact. It
learns both as rows of a trace (`tasks/judging/traces.py`): what is there in place of each thing
that a caption names, then the score. And it learns to add scores up, without any picture.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from tasks.judging.traces import Row, write_rows, write_totals
from tasks.records.judgements import Judgement
from tasks.world.arranging import draw_in, rendered, things_of
from tasks.world.facts import VALUES, spoiled
from tasks.world.judging import answered, caption_of, draw_faults
from tasks.world.pictures import Picture
from tasks.world.questions import attribute
from tasks.world.thinking import DIMENSIONS, Compared, compared, draw_compared, rows_of
from tasks.world.wording import Question

DIET = "judging"  # of `tasks.world.pretraining_data.DIETS`
NAMES = [name for name, _ in DIMENSIONS["scene"]]
ALL = 0.7  # of the questions ask for all rows, in the order of a trace
SUMS = 0.7  # of the calculations have no rows before them: they are short
MISTOLD = (0, 0, 1, 2)  # facts that are wrong in a further caption of the same pictures
ADDED = (2, 3, 3, 3, 3)  # numbers in a sum
SCORES = (1, 4, 7, 10)  # of the cells; one in ten is any other


def judged_images(rng: random.Random) -> tuple[list[Picture], list[Question]]:
    """Draw two pictures for a caption, and ask how they keep to it and to others like it."""
    draft, both = draw_compared(rng, "train", "image_generation")
    truth = [tuple(thing) for thing in draft.judgement.details["said"][0]]
    shown = draft.judgement.details["shown"]
    pictures = [rendered(rng, shapes) for shapes in draft.shown]
    task = draft.judgement.task
    asked = [_rows(rng, about(draft.judgement), task, both)]
    for _ in range(3):
        told = spoiled(rng, truth, rng.choice(MISTOLD), VALUES["scene"])
        found = [compared(told, one, "scene") for one in shown] if told else [None]
        if told and all(found):
            words = about(replace(draft.judgement, prompt=caption_of(told, "scene")))
            asked.append(_rows(rng, words, task, [c for c in found if c]))
    asked.append(_described(rng, pictures))
    return pictures, [question for question in asked if question]


def judged_answers(rng: random.Random) -> tuple[list[Picture], list[Question]]:
    """Draw a picture, and ask how pairs of captions keep to it."""
    shapes = draw_in(rng, "scene", "train")
    asked = []
    for _ in range(6):
        draft = answered(rng, "scene", shapes, draw_faults(rng, "pair"))
        said = draft and draft.judgement.details["said"]
        if not draft or not said or any(len(thing) < 3 for things in said for thing in things):
            continue
        there = things_of(shapes)
        both = [compared(things, there, "scene") for things in said]
        if all(both):
            words = about(draft.judgement)
            asked.append(_rows(rng, words, "image_understanding", [c for c in both if c]))
    return [rendered(rng, shapes)], asked


def about(pair: Judgement) -> str:
    """Return what a question about the rows of a pair begins with."""
    if pair.generated:
        return f"Caption: {pair.prompt}"
    first, second = pair.responses
    return f"{pair.prompt} Answer 1: {first} Answer 2: {second}"


def asked_rows(pair: Judgement) -> str:
    """Return the question for all rows of a pair."""
    return f"{about(pair)}\nScore both on {', '.join(NAMES)}."


def totals(rng: random.Random) -> Question:
    """Ask to add up the scores of both candidates, in the form of a trace; or numbers alone."""
    if rng.random() < SUMS:
        added = "+".join(str(_score(rng)) for _ in range(rng.choice(ADDED)))
        return Question("sum", f"Add up {added}.", f"{added}={sum(map(int, added.split('+')))}")
    task = rng.choice(("image_generation", "image_understanding"))
    shown = rng.random() < 0.7
    rows = [
        Row(name, (_score(rng), _score(rng)), (_seen(rng), _seen(rng)) if shown else ("", ""))
        for name in rng.sample([*NAMES, "Sizes"], rng.choice(ADDED))
    ]
    return Question("totals", f"{write_rows(task, rows)}\nAdd up.", write_totals(task, rows))


def _rows(rng: random.Random, words: str, task: str, both: Sequence[Compared]) -> Question:
    places = list(range(len(NAMES)))
    if rng.random() > ALL:
        rng.shuffle(places)
        places = places[: rng.randint(1, len(places))]
    rows = rows_of(task, both, places)
    names = ", ".join(row.name for row in rows)
    return Question("rows", f"{words}\nScore both on {names}.", write_rows(task, rows))


def _described(rng: random.Random, pictures: Sequence[Picture]) -> Question | None:
    place = rng.randrange(len(pictures))
    picture, which = pictures[place], f"Image {place + 1}"
    if rng.random() < 0.5:
        told = caption_of(things_of(picture.shapes), "scene")
        return Question("described", f"Describe {which}.", told)
    question = attribute(rng, picture)
    return question and Question(
        "attribute", f"{question.prompt[:-1]} in {which}?", question.answer
    )


def _seen(rng: random.Random) -> str:
    values = rng.choice(VALUES["scene"])
    told = (rng.sample(values, 1 if rng.random() < 0.7 else 2) for _ in range(3))
    return ", ".join(" not ".join(some) for some in told)


def _score(rng: random.Random) -> int:
    return rng.choice(SCORES) if rng.random() < 0.9 else rng.randint(1, 10)
