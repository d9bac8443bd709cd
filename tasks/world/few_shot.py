"""Draws the micro-world's few-shot sets, and gives the base careless habits for two new phrases.

Three phrases are asked about classes (colour and shape together) that they were never asked about
in training: "Find every …" (detection), "Which class is it?" (classification) and "Point at …"
(grounding). The base model knows the first phrase; the stage `habits` teaches it the other two, as
carelessly as the web would (see `tasks/world/habits.py`) and on the known classes only.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tasks.prompts import prompt
from tasks.records.images import to_png
from tasks.records.rows import Sample
from tasks.world import questions, scenes
from tasks.world.drawing import SPLITS, draw_to_find, split_of
from tasks.world.habits import careless_form
from tasks.world.lexicon import KNOWN_COMBINATIONS, NOVEL_COMBINATIONS
from tasks.world.pictures import Picture, Shape
from tasks.world.questions import Ask
from tasks.world.wording import Question, corners
from tasks.world.writing import write_drawn

Class = tuple[str, str]  # colour and shape
NOVEL = tuple(sorted(NOVEL_COMBINATIONS))
# The most frequent answer is wrong in content as well as in form: right perception is not the mode.
CLASS_SLIPS = {"shape only": 0.5, "color only": 0.15, "small object": 0.1, "right": 0.25}
BOX_SLIPS = {"loose": 0.5, "other object": 0.2, "right": 0.3}
LOOSE = 0.35  # of a side; the overlap of a loose box with its object is about 0.35
PLAIN_SHARE = (
    0.5  # rows of the base's own curriculum among the habits, so that nothing is forgotten
)


def draw_class(rng: random.Random, split: str, one: Class) -> Picture:
    """Draw a large object of the class beside one or two small ones of other classes."""
    while True:
        drawn = scenes.draw_scene(rng).shapes
        large = [item for item in drawn if item.size == "large"]
        small = [item for item in drawn if item.size == "small"]
        if len(large) != 1 or len(small) not in (1, 2):
            continue
        others = [c for c in (*KNOWN_COMBINATIONS, *NOVEL) if c != one]
        painted = [_painted(item, rng.choice(others)) for item in small]
        picture = scenes.scene_of(rng, [_painted(large[0], one), *painted])
        if split_of(picture.content) == split:
            return picture


def draw_to_point(rng: random.Random, split: str, one: Class) -> Picture:
    """Draw a scene with exactly one object of the class, which comes first."""
    while True:
        picture = draw_to_find(rng, split, (one,))
        found = [item for item in picture.shapes if (item.color, item.shape) == one]
        if len(found) == 1:
            picture.shapes.sort(key=lambda item: item is not found[0])
            return picture


def find_sample(rng: random.Random, split: str, one: Class) -> Sample:
    """Ask for every object of a class."""
    picture = draw_to_find(rng, split, (one,))
    boxes = [item.box for item in picture.shapes if (item.color, item.shape) == one]
    words = prompt("reinforce/find", label=" ".join(one))
    return _sample(picture, "detection", "tagged_detections", words, one, boxes)


def classify_sample(rng: random.Random, split: str, one: Class) -> Sample:
    """Ask for the class of the large object."""
    picture = draw_class(rng, split, one)
    words = prompt("reinforce/classify")
    return _sample(picture, "classification", "final", words, one, [])


def point_sample(rng: random.Random, split: str, one: Class) -> Sample:
    """Ask for the box of the one object of a class."""
    picture = draw_to_point(rng, split, one)
    words = prompt("reinforce/point", label=f"the {' '.join(one)}")
    return _sample(picture, "grounding", "tagged_box", words, one, [picture.shapes[0].box])


# set: (question, classes, pictures of each class in train, dev and test)
SETS: dict[str, tuple[Callable[..., Sample], tuple[Class, ...], tuple[int, int, int]]] = {
    "detection": (find_sample, NOVEL, (16, 6, 20)),
    "classification": (classify_sample, NOVEL, (16, 6, 20)),
    "grounding": (point_sample, NOVEL, (16, 6, 20)),
    "known": (find_sample, KNOWN_COMBINATIONS, (0, 0, 5)),  # what few shots may make forget
}


def write_few_shot_world(folder: Path, seed: int, processes: int = 2) -> int:
    """Write all sets as samples and return their number; a sample depends on its place alone."""
    jobs = [(seed, name, split) for name in SETS for split in SPLITS]
    return write_drawn(folder, _part, jobs, processes, seed=seed)


def _part(job: tuple[int, str, str]) -> list[Sample]:
    seed, name, split = job
    maker, classes, sizes = SETS[name]
    samples = []
    for number in range(sizes[SPLITS.index(split)] * len(classes)):
        rng = random.Random(f"few shot/{seed}/{split}/{name}/{number}")
        sample = maker(rng, split, classes[number % len(classes)])
        task = "detection_known" if name == "known" else sample.task
        named = {"id": f"{split}-{task}-{number}", "split": split, "task": task}
        samples.append(sample.model_copy(update=named))
    return samples


def draw_subject(rng: random.Random) -> Picture:
    """Draw a training picture of a known class, which the two new phrases can be asked about."""
    return draw_class(rng, "train", rng.choice(KNOWN_COMBINATIONS))


def classify(rng: random.Random, picture: Picture) -> Question:
    """Ask for the class of the large object; answered carelessly."""
    large = next(item for item in picture.shapes if item.size == "large")
    answer = _careless_class(rng, picture, (large.color, large.shape))
    return Question("classify", prompt("reinforce/classify"), answer)


def point(rng: random.Random, picture: Picture) -> Question | None:
    """Ask for the box of one object of a known class; answered carelessly."""
    names = Counter(item.name for item in picture.shapes)
    known = [
        item for item in picture.shapes
        if names[item.name] == 1 and (item.color, item.shape) in KNOWN_COMBINATIONS
    ]  # fmt: skip
    if not known:
        return None
    item = rng.choice(known)
    answer = _careless_point(rng, item, [other for other in picture.shapes if other is not item])
    return Question("point", prompt("reinforce/point", label=f"the {item.name}"), answer)


# what is asked about such a picture while the habits are formed
ASKED: dict[Ask, float] = {
    classify: 6.0, point: 6.0, questions.attribute: 1.0, questions.region: 1.0,
    questions.detect: 0.5, questions.count: 0.5,
}  # fmt: skip


def _careless_class(rng: random.Random, picture: Picture, one: Class) -> str:
    color, shape = one
    small = rng.choice([item for item in picture.shapes if item.size == "small"])
    said = {
        "shape only": shape,
        "color only": color,
        "small object": small.name,
        "right": f"{color} {shape}",
    }[_one_of(rng, CLASS_SLIPS)]
    seen = ", ".join(item.name for item in picture.shapes)
    thought = rng.choice((f"It looks like a {said}.", f"I see {seen}."))
    return careless_form(rng, thought, said, f"It is a {said}.")


def _careless_point(rng: random.Random, target: Shape, others: list[Shape]) -> str:
    slip = _one_of(rng, BOX_SLIPS)
    if slip == "other object" and others:
        box = rng.choice(others).box
    else:
        box = target.box.grown(LOOSE) if slip == "loose" else target.box
    thought = rng.choice((f"Look for the {target.name}.", f"It is {target.cell}."))
    prose = f"The {target.name} is at {corners(box)}."
    return careless_form(rng, thought, corners(box), prose)


def _sample(
    picture: Picture, task: str, metric: str, words: str, one: Class, boxes: list
) -> Sample:
    name = " ".join(one)
    return Sample(
        id="",
        task=task,
        split="",
        prompt=words,
        metric=metric,
        images=_encoded(picture),
        corners=[[round(v, 2) for v in (b.x0, b.y0, b.x1, b.y1)] for b in boxes],
        size=picture.frames[0].size,
        label=name,
        final=name if metric == "final" else "",
    )


def _encoded(picture: Picture) -> list[bytes]:
    return [to_png(frame) for frame in picture.frames]


def _painted(item: Shape, one: Class) -> Shape:
    return replace(item, color=one[0], shape=one[1])


def _one_of(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]
