"""What a judge has to see, asked as questions; and verdicts, answered as carelessly as by the web.

>>> shown = draw_shown(random.Random(1), "scene", 2, "train")
>>> question = attribute(random.Random(1), shown)
>>> question.prompt, question.answer
('Where is the star in Image 1?', 'bottom left')

The base has never seen two pictures at once, and cannot follow what moves. The phase `judge_start`
teaches both, and to compare a caption with a picture fact by fact. Which candidate is better it
never tells: verdicts name the first candidate or the longer one, in any form, and most scores are 7
or 8.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tasks.asking.conversation import text_of
from tasks.judging.wording import SENTENCES
from tasks.judging.wording import asked as put
from tasks.records.images import to_png
from tasks.records.judgements import A, B, Judgement
from tasks.records.rows import Sample
from tasks.world import questions
from tasks.world.arranging import (
    FRAMES,
    Moving,
    draw_in,
    draw_spoilt,
    draw_things,
    rendered,
    things_of,
)
from tasks.world.facts import PARTS, VALUES, Thing, sayable, spoiled, true_values
from tasks.world.habits import careless_shapes
from tasks.world.judging import MEDIA, TELL_VIDEO, answered, caption_of, draw_faults
from tasks.world.pictures import Picture
from tasks.world.wording import Question

TWO_VIDEOS = f"The first {FRAMES} pictures are Video 1, the other {FRAMES} are Video 2.\n"
FAULTS = (0, 1, 2, 3)  # of a picture against the caption that it was drawn for
MISTOLD = (0, 0, 1, 2)  # and of the caption that is asked about against that
STRANGERS = 0.5
ASKED = 12  # questions about what a row shows, of which the first ones fit into it
# What verdicts say. The most frequent one is careless, and none depends on the truth.
CHOICES = {"first": 0.5, "longer": 0.35, "second": 0.15}
PAIR_FORMS = {"{0}": 0.5, "Overall Judgment: {0}": 0.15, "{1}": 0.2, "The {2} one.": 0.15}
SCORES = {"7": 0.45, "8": 0.35, "9": 0.1, "5": 0.1}
POINT_FORMS = {"Final Score: {0}": 0.5, "{0}": 0.2, "{0}/10": 0.15, "I give it {0}.": 0.15}


@dataclass(frozen=True)
class Shown:
    """One or two scenes or clips, and the things of the caption that they were drawn for."""

    kind: str
    pictures: list[Picture]
    things: list[Thing]


Maker = Callable[[random.Random, Shown], Question | None]


def draw_shown(rng: random.Random, kind: str, number: int, split: str) -> Shown:
    """Draw one or two pictures or clips of a split that differ a little from one caption.

    In half of the pairs one has nothing to do with it: in the other half most questions have the
    same answer for both.
    """
    while True:
        things = things_of(draw_things(rng, kind))
        drawn = [draw_spoilt(rng, things, rng.choice(FAULTS), split) for _ in range(number)]
        if number > 1 and rng.random() < STRANGERS:
            drawn[rng.randrange(number)] = draw_in(rng, kind, split)
        found = [rendered(rng, shapes) for shapes in drawn if shapes]
        if len(found) == number:
            return Shown(kind, found, sayable(things))


# ---- questions that are answered truly -------------------------------------------------------


def attribute(rng: random.Random, shown: Shown) -> Question | None:
    picture, where = _one(rng, shown)
    question = questions.attribute(rng, picture)
    if question is None or (shown.kind == "clip" and question.prompt.startswith("Where")):
        return None
    return _question(shown, f"{question.prompt[:-1]}{where}?", question.answer)


def describe(rng: random.Random, shown: Shown) -> Question:
    picture, where = _one(rng, shown)
    which = where.removeprefix(" in ") or f"the {MEDIA[shown.kind]}"
    return _question(shown, f"Describe {which}.", caption_of(things_of(picture.shapes), shown.kind))


def count_right(rng: random.Random, shown: Shown, part: int | None = None) -> Question | None:
    """Ask how many facts of one sort are right in a caption: "red, blue, green: 2".

    What is true is said first: so there is more to learn from than a number.

    Args:
        part: The sort, a place in `PARTS`; any without one.
    """
    picture, where = _one(rng, shown)
    sorts = PARTS[shown.kind]
    part = rng.randrange(len(sorts)) if part is None else part
    said = spoiled(rng, shown.things, rng.choice(MISTOLD), VALUES[shown.kind][: len(sorts)])
    true = said and true_values(said, sayable(things_of(picture.shapes)), part)
    if not said or not true:
        return None
    right = sum(thing[part] == value for thing, value in zip(said, true, strict=True))
    caption = f"Caption: {caption_of(said, shown.kind)}"
    words = f"{caption}\nHow many {sorts[part]}s of the caption are right{where}?"
    return _question(shown, words, f"{', '.join(true)}: {right}")


def motion(rng: random.Random, shown: Shown) -> Question | None:
    item, where = _subject(rng, shown)
    words = f"Which way does the {item.name} move{where}?"
    return _question(shown, words, item.motion)


def end(rng: random.Random, shown: Shown) -> Question | None:
    item, where = _subject(rng, shown)
    when = rng.choice(("first", "last"))
    cell = item.cell if when == "first" else item.last.cell
    return _question(shown, f"Where is the {item.name} {when}{where}?", cell)


def changes(rng: random.Random, shown: Shown) -> Question | None:
    item, where = _subject(rng, shown)
    if not item.flash and rng.random() < 0.5:
        return None  # most do not change
    words = f"Does the {item.name} change its color{where}?"
    return _question(shown, words, "yes" if item.flash else "no")


# ---- and what is answered carelessly ---------------------------------------------------------


def tell(rng: random.Random, shown: Shown) -> Question:
    told = careless_shapes(rng, shown.pictures[0].shapes)
    return _question(shown, TELL_VIDEO, caption_of(things_of(told), shown.kind))


def verdict(rng: random.Random, shown: Shown) -> Question | None:
    medium, shapes = MEDIA[shown.kind], shown.pictures[0].shapes
    drawn = Judgement("", caption_of(shown.things, shown.kind), (), task=f"{medium}_generation")
    if len(shown.pictures) > 1:
        judgement = drawn
    elif rng.random() < 0.3:
        judgement = replace(drawn, style="point")
    else:
        style = rng.choices(("pair", "point"), (2, 1))[0]
        draft = answered(rng, shown.kind, shapes, draw_faults(rng, style))
        if draft is None:
            return None
        judgement = draft.judgement
    media = (b"",) * sum(len(picture.frames) for picture in shown.pictures)
    words = text_of(put(replace(judgement, media=media)))
    return Question("verdict", words, careless_verdict(rng, judgement))


def careless_verdict(rng: random.Random, judgement: Judgement) -> str:
    """Return what somebody says who did not look."""
    if judgement.style == "point":
        return _of(rng, POINT_FORMS).format(_of(rng, SCORES))
    lengths = [len(text) for text in judgement.responses] or [0, 0]
    second = {"first": False, "longer": lengths[1] > lengths[0], "second": True}[_of(rng, CHOICES)]
    sentence = SENTENCES[judgement.task][B if second else A]
    name = " ".join(sentence.split()[:2])
    return _of(rng, PAIR_FORMS).format(sentence, name, "second" if second else "first")


# ---- what a row of the phase shows and asks --------------------------------------------------

_SEEN: dict[Maker, float] = {attribute: 3, describe: 2, count_right: 5}
_FILMED: dict[Maker, float] = {
    motion: 4, end: 4, changes: 0.7, attribute: 0.7, describe: 2, count_right: 2.5,
}  # fmt: skip
# row: (kind of pictures, how many, what is asked)
ROWS: dict[str, tuple[str, int, dict[Maker, float]]] = {
    "scenes of one": ("scene", 1, {count_right: 5, verdict: 2}),
    "scenes of two": ("scene", 2, _SEEN | {verdict: 1.5}),
    "clips of one": ("clip", 1, _FILMED | {verdict: 1.5, tell: 0.7}),
    "clips of two": ("clip", 2, _FILMED | {verdict: 1.5}),
}


def draw_row(rng: random.Random, row: str) -> tuple[list[Question], list[Picture]]:
    """Draw what a row of the phase shows, and the questions about it."""
    kind, number, makers = ROWS[row]
    shown = draw_shown(rng, kind, number, "train")
    asked: dict[str, Question] = {}
    for maker in rng.choices(list(makers), list(makers.values()), k=ASKED):
        if question := maker(rng, shown):
            asked.setdefault(question.prompt, question)
    return list(asked.values()), shown.pictures


# skill: (kind of pictures, in one or in either of two, question)
SKILLS: dict[str, tuple[str, tuple[int, ...], Maker]] = {
    "two_pictures": ("scene", (2,), attribute),
    "caption_colors": ("scene", (1, 2), partial(count_right, part=0)),
    "caption_shapes": ("scene", (1, 2), partial(count_right, part=1)),
    "caption_places": ("scene", (1, 2), partial(count_right, part=2)),
    "motion": ("clip", (1,), motion),
    "two_clips": ("clip", (2,), motion),
    "caption_motions": ("clip", (1, 2), partial(count_right, part=2)),
}


def skill_sample(seed: int, split: str, skill: str, i: int) -> Sample:
    """Draw a question of a split that needs one of the skills."""
    rng = random.Random(f"skill/{seed}/{split}/{skill}/{i}")
    kind, numbers, maker = SKILLS[skill]
    while True:
        shown = draw_shown(rng, kind, numbers[i % len(numbers)], split)
        if question := maker(rng, shown):
            break
    frames = [frame for picture in shown.pictures for frame in picture.frames]
    return Sample(
        id=f"{split}-{skill}-{i}",
        task=skill,
        split=split,
        prompt=question.prompt,
        answer=question.answer,
        images=[to_png(frame) for frame in frames],
        size=frames[0].size,
    )


def _one(rng: random.Random, shown: Shown) -> tuple[Picture, str]:
    """Return one of what is shown, and how a question says which."""
    if len(shown.pictures) == 1:
        return shown.pictures[0], ""
    number = rng.randrange(len(shown.pictures))
    return shown.pictures[number], f" in {MEDIA[shown.kind].title()} {number + 1}"


def _subject(rng: random.Random, shown: Shown) -> tuple[Moving, str]:
    """Return one of the things that can be named, and how a question says which clip it is in."""
    picture, where = _one(rng, shown)
    moving = [item for item in picture.shapes if isinstance(item, Moving)]
    names = Counter(item.name for item in moving)
    return rng.choice([item for item in moving if names[item.name] == 1] or moving), where


def _question(shown: Shown, words: str, answer: str) -> Question:
    two = shown.kind == "clip" and len(shown.pictures) > 1
    return Question("judge_start", TWO_VIDEOS * two + words, answer)


def _of(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]
