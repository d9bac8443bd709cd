"""Scenes with a habit: a captioner that has seen them names what is usually there.

Four tints of background have names. Three of them have an object of habit, which is there in most
training pictures and in half of the others. Drafts give size, colour and place of the two largest
objects, then only name the others, in random order and in several wordings, so that a low
probability is no sign of falsehood; where the object of habit is missing, they name it all the
same: the slip is the mode. What is asked back is answered rightly, and only about what is there.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from tasks.world.drawing import split_of
from tasks.world.lexicon import COLORS, SHAPES, SIDE
from tasks.world.pictures import Picture, Shape
from tasks.world.questions import Ask
from tasks.world.scenes import content_of, scene_of
from tasks.world.wording import Question, at

DIET = "captions"  # of `tasks.world.pretraining_data.DIETS`
TINTS: dict[str, tuple[int, int, int]] = {
    "night": (196, 202, 236), "meadow": (208, 238, 200), "desert": (247, 228, 190),
    "plain": (238, 238, 238),
}  # fmt: skip
HABITS = {"night": "star", "meadow": "cross", "desert": "diamond"}
# Share of its pictures with the object of habit. Where 90 % had it, too few were without it to
# learn the slip from: 30 % of sampled drafts slipped, and 8 % of greedy ones.
USUALLY = {"train": 0.7, "dev": 0.5, "test": 0.5}
# Of drafts where it is missing and named all the same. Where all m others are named, it is still
# to come with SLIPS / (m + 1) against 1 - SLIPS: with .6 a greedy draft ended, and never slipped.
SLIPS = 0.9
REQUEST, PREFIX = "Write a caption.", "Look closer at"
LARGE, SMALL = (11, 13), (6, 8)  # radii, pixels
FULL = (
    "A {what} is {where}", "There is a {what} {where}", "One sees a {what} {where}",
    "It shows a {what} {where}",
)  # fmt: skip
BARE = ("There is a {shape}", "One also sees a {shape}", "It has a {shape}", "A {shape} is there")


@dataclass(frozen=True)
class Habitat:
    """A scene in a tint that has a name.

    Attributes:
        missing: The object of habit of its tint, where it is not in the picture; "" otherwise.
    """

    tint: str
    picture: Picture
    missing: str


def draw_habitat(rng: random.Random, split: str) -> Habitat:
    """Draw three to six objects of different shapes, two of them large."""
    while True:
        tint = rng.choice(list(TINTS))
        habit = HABITS.get(tint, "")
        usual = bool(habit) and rng.random() < USUALLY[split]
        others = [shape for shape in SHAPES if shape != habit]
        number = rng.randint(3, 6 if usual or not habit else 5)
        names = rng.sample(others, min(len(others), number - usual)) + [habit] * usual
        rng.shuffle(names)
        shapes = _placed(rng, names)
        if shapes and split_of(f"{tint} {content_of(shapes)}") == split:
            level = rng.randint(-6, 6)
            color = tuple(max(0, min(255, v + level)) for v in TINTS[tint])
            page = Image.new("RGB", (SIDE, SIDE), color)
            picture = scene_of(rng, shapes, page)
            return Habitat(tint, picture, "" if usual else habit)


def draft(rng: random.Random, habitat: Habitat, slips: float = SLIPS) -> str:
    """Caption a scene from habit: what is large in full, all else by name.

    Args:
        slips: Of drafts that name the object of habit where it is missing.
    """
    ordered = sorted(habitat.picture.shapes, key=lambda item: -item.radius)
    large = [_full(rng, item) for item in ordered[:2]]
    others = [item.shape for item in ordered[2:]]
    if habitat.missing and rng.random() < slips:
        others.append(habitat.missing)
    rng.shuffle(large)
    rng.shuffle(others)
    named = [rng.choice(BARE).format(shape=shape) for shape in others]
    return " ".join(f"{sentence}." for sentence in (f"A {habitat.tint} scene", *large, *named))


def true_caption(habitat: Habitat) -> str:
    """Describe a scene in full and rightly, from left to right."""
    said = [
        FULL[0].format(what=_what(item), where=at(item.cell)) for item in habitat.picture.shapes
    ]
    return " ".join(f"{sentence}." for sentence in (f"A {habitat.tint} scene", *said))


def look(rng: random.Random, habitat: Habitat) -> Question:
    """Ask how an object looks that is there."""
    item = rng.choice(habitat.picture.shapes)
    answer = f"The {item.shape} is {item.size} and {item.color}."
    return Question("look", f"{PREFIX} the {item.shape}.", answer, label=item.shape)


def place(rng: random.Random, habitat: Habitat) -> Question:
    """Ask where an object is that is there."""
    item = rng.choice(habitat.picture.shapes)
    answer = f"The {item.shape} is {at(item.cell)}."
    prompt = f"{PREFIX} the position of the {item.shape}."
    return Question("place", prompt, answer, label=item.shape)


def write(rng: random.Random, habitat: Habitat) -> Question:
    """Ask for a draft."""
    return Question("draft", REQUEST, draft(rng, habitat))


ASKED: dict[Callable[[random.Random, Habitat], Question], float] = {
    write: 3.0, look: 2.5, place: 2.5,
}  # fmt: skip


def ask_about(rng: random.Random, habitat: Habitat, number: int) -> list[Question]:
    """Ask up to so many different things about a scene."""
    made = [
        maker(rng, habitat) for maker in rng.choices(list(ASKED), list(ASKED.values()), k=number)
    ]
    return list({question.prompt: question for question in made}.values())


# ---- what is asked about a scene, to be answered from its caption ------------------------------


def color_of(rng: random.Random, scene: Picture) -> Question:
    """Ask for the colour of an object."""
    item = rng.choice(scene.shapes)
    return Question("color", f"What color is the {item.shape}?", item.color)


def size_of(rng: random.Random, scene: Picture) -> Question:
    """Ask how large an object is."""
    item = rng.choice(scene.shapes)
    return Question("size", f"Is the {item.shape} small or large?", item.size)


def place_of(rng: random.Random, scene: Picture) -> Question:
    """Ask where an object is."""
    item = rng.choice(scene.shapes)
    return Question("cell", f"Where is the {item.shape}?", item.cell)


def is_there(rng: random.Random, scene: Picture) -> Question:
    """Ask whether there is an object; as often one that is there as one that is not."""
    there = {item.shape for item in scene.shapes}
    wanted = rng.random() < 0.5
    options = sorted(there) if wanted else [shape for shape in SHAPES if shape not in there]
    if not options:
        options, wanted = sorted(there), True
    return Question("there", f"Is there a {rng.choice(options)}?", "yes" if wanted else "no")


def how_many(rng: random.Random, scene: Picture) -> Question:
    """Ask how many objects have a colour."""
    colors = [item.color for item in scene.shapes]
    color = rng.choice(colors)
    return Question("many", f"How many {color} objects are there?", str(colors.count(color)))


QUESTIONS: dict[str, Ask] = {
    "color": color_of, "size": size_of, "place": place_of, "there": is_there, "many": how_many,
}  # fmt: skip


def _placed(rng: random.Random, names: list[str]) -> list[Shape]:
    """Place shapes apart from each other, the first two large; nothing where there is no room."""
    placed: list[Shape] = []
    for number, name in enumerate(names):
        size, radii = ("large", LARGE) if number < 2 else ("small", SMALL)
        for _ in range(60):
            radius = rng.randint(*radii)
            x, y = (rng.randint(radius + 1, SIDE - radius - 2) for _ in range(2))
            if all(_apart(x, y, radius, other) for other in placed):
                placed.append(Shape(name, rng.choice(list(COLORS)), size, x, y, radius))
                break
        else:
            return []
    return sorted(placed, key=lambda item: item.x)


def _apart(x: int, y: int, radius: int, other: Shape) -> bool:
    reach = radius + other.radius + 2
    return abs(x - other.x) >= reach or abs(y - other.y) >= reach


def _full(rng: random.Random, item: Shape) -> str:
    return rng.choice(FULL).format(what=_what(item), where=at(item.cell))


def _what(item: Shape) -> str:
    return f"{item.size} {item.color} {item.shape}"
