"""Draws judgements whose truth is known: which candidate has fewer facts of the picture wrong.

>>> pair = make_judgement(0, "dev", "image_understanding", "pair", 5)
>>> pair.prompt, pair.responses
('List the colors, separated by commas.', ('black, green, yellow', 'orange, blue, red'))
>>> pair.winner, pair.details["faults"]
('A', [1, 3])

After UnifiedReward (arXiv 2503.05236), in four tasks and two styles. Answers about a scene or a
clip are captions and lists; scenes and clips are drawn for a caption. A fault is a fact that does
not match (`tasks/world/facts.py`); all candidates tell or show three things, so that length gives
none away. Every picture of an item belongs to the item's split by what it shows.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.records.images import to_png
from tasks.records.judgements import SCALE, STYLES, TASKS, TIE, A, B, Judgement, sample_of_judgement
from tasks.records.rows import Sample
from tasks.world.arranging import content, draw_in, draw_spoilt, draw_things, rendered, things_of
from tasks.world.drawing import SPLITS
from tasks.world.facts import PARTS, STILL, VALUES, Thing, sayable, spoiled
from tasks.world.pictures import Shape
from tasks.world.questions import CAPTION_PHRASES
from tasks.world.wording import at
from tasks.world.writing import write_drawn

TELL_VIDEO = "Tell me what you see in the video."  # the twin of the phrase that asks for a picture
MEDIA = {"scene": "image", "clip": "video"}
CAPTIONED = {"scene": CAPTION_PHRASES, "clip": ("Describe the video.", TELL_VIDEO)}
LISTED = 0.5  # of the questions ask for a list, the others for a caption
TIES = 0.1  # of the pairs
MOST_FAULTS, POINTS_PER_FAULT = 3, 3


@dataclass(frozen=True)
class Draft:
    """A judgement, and the shapes of each picture or clip that it shows, before they are drawn."""

    judgement: Judgement
    shown: list[list[Shape]]


def make_judgement(seed: int, split: str, task: str, style: str, i: int) -> Judgement:
    """Draw the item of these arguments."""
    rng = random.Random(f"judging/{seed}/{split}/{task}/{style}/{i}")
    draft = draft_judgement(rng, split, task, style)
    frames = [frame for shapes in draft.shown for frame in rendered(rng, shapes).frames]
    return replace(
        draft.judgement,
        id=f"{split}-{task}-{style}-{i}",
        media=tuple(to_png(frame) for frame in frames),
        split=split,
        source=f"{task}_{style}",
    )


def draft_judgement(rng: random.Random, split: str, task: str, style: str) -> Draft:
    """Draw what an item shows until all of it belongs to the split."""
    kind = kind_of(task)
    faults = draw_faults(rng, style)
    while True:
        if task.endswith("generation"):
            draft = _drawn_for_a_caption(rng, kind, split, faults)
        else:
            draft = answered(rng, kind, draw_in(rng, kind, split), faults)
        if draft:
            return draft


def kind_of(task: str) -> str:
    """Return what a task is about, `scene` or `clip`."""
    return "clip" if task.startswith("video") else "scene"


def answered(
    rng: random.Random, kind: str, shapes: list[Shape], faults: Sequence[int] = ()
) -> Draft | None:
    """Draw a question about a picture or a clip and answers with so many facts wrong."""
    truth = sayable(things_of(shapes))
    part = rng.randrange(len(PARTS[kind])) if rng.random() < LISTED else None
    if part is None:
        question, values = rng.choice(CAPTIONED[kind]), VALUES[kind][: len(PARTS[kind])]
    else:  # what stands first, second and third in the list is a fact, and is never changed
        question = f"List the {PARTS[kind][part]}s, separated by commas."
        truth = [(str(place), thing[part]) for place, thing in enumerate(truth)]
        values = ((), VALUES[kind][part])
    said = [spoiled(rng, truth, number, values) for number in faults]
    texts = [_in_words(things, kind, part) for things in said if things]
    if len(set(texts)) < len(faults):
        return None
    return _draft("understanding", kind, question, texts, faults, [shapes], said)


def _drawn_for_a_caption(
    rng: random.Random, kind: str, split: str, faults: Sequence[int]
) -> Draft | None:
    truth = things_of(draw_things(rng, kind))
    shown = [draw_spoilt(rng, truth, number, split) for number in faults]
    if not all(shown) or len(set(map(content, shown))) < len(faults):
        return None
    told = [truth] * len(faults)
    return _draft("generation", kind, caption_of(truth, kind), [], faults, shown, told)


def _draft(
    sort: str, kind: str, prompt: str, responses: list[str], faults: Sequence[int],
    shown: list[list[Shape]], said: Sequence[Sequence[Thing] | None],
) -> Draft:  # fmt: skip
    pair = len(faults) == 2
    judgement = Judgement(
        id="",
        prompt=prompt,
        media=(),
        responses=tuple(responses),
        task=f"{MEDIA[kind]}_{sort}",
        style="pair" if pair else "point",
        winner=_winner(*faults) if pair else "",
        score=None if pair else max(SCALE[0], SCALE[1] - POINTS_PER_FAULT * faults[0]),
        details={
            "faults": list(faults),
            "shown": [[list(thing) for thing in things_of(shapes)] for shapes in shown],
            "said": [[list(thing) for thing in things or ()] for things in said],
        },
    )
    return Draft(judgement, shown)


def _winner(first: int, second: int) -> str:
    return TIE if first == second else A if first < second else B


def draw_faults(rng: random.Random, style: str) -> tuple[int, ...]:
    """Draw how many facts each candidate has wrong; a tenth of the pairs are ties."""
    if style == "point":
        return (rng.randint(0, MOST_FAULTS),)
    if rng.random() < TIES:  # of two without a fault the words would be the same
        return (rng.randint(1, MOST_FAULTS),) * 2
    margin = rng.randint(1, MOST_FAULTS)
    fewer = rng.randint(0, MOST_FAULTS - margin)
    return tuple(rng.sample((fewer, fewer + margin), 2))


def _in_words(things: Sequence[Thing], kind: str, part: int | None) -> str:
    return caption_of(things, kind) if part is None else ", ".join(thing[1] for thing in things)


def caption_of(things: Sequence[Thing], kind: str) -> str:
    """Describe things in the order in which they are given.

    >>> caption_of([("red", "star", "top left"), ("blue", "ring", "center")], "scene")
    'A red star at the top left. A blue ring in the center.'
    >>> caption_of([("red", "star", "up"), ("blue", "ring", "still")], "clip")
    'A red star moves up. A blue ring stays still.'
    """
    does = at if kind == "scene" else _moves
    return " ".join(f"A {color} {shape} {does(third)}." for color, shape, third in sayable(things))


def _moves(motion: str) -> str:
    return "stays still" if motion == STILL else f"moves {motion}"


def write_judging_world(folder: Path, seed: int, sizes: dict[str, int], processes: int = 2) -> int:
    """Write the data set as samples, and return their number.

    Args:
        sizes: Items of each task and style in a split.
    """
    jobs = [
        (seed, split, task, style, sizes[split])
        for split in SPLITS for style in STYLES for task in reversed(TASKS)
    ]  # fmt: skip
    return write_drawn(folder, _part, jobs, processes, seed=seed, of_each=sizes)


def _part(job: tuple[int, str, str, str, int]) -> list[Sample]:
    *arguments, size = job
    return [sample_of_judgement(make_judgement(*arguments, i)) for i in range(size)]
