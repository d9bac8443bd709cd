"""Questions that take a look, with a way around looking: a guess, or what the answer mostly is.

>>> puzzle = draw_puzzle(random.Random(0), "price", "train")
>>> puzzle.answer == answer_from(puzzle, puzzle.facts)
True

Of a receipt a price is asked, of a scene whether one thing is above another or how many things have
a size: the base reads each fact far better than it answers at once. Two worlds are drawn. In the
first a question ends with a guess ("Guess: 7."), right in nine of ten training questions; in the
second nothing is added, and in nine of ten the answer of a kind is one and the same. Held-out sets
have the shortcut as in training, without worth, always wrong, and not at all.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.records.images import to_png
from tasks.records.rows import Sample
from tasks.world.drawing import draw
from tasks.world.lexicon import CELLS, SIZES
from tasks.world.pictures import Picture, Shape
from tasks.world.wording import at, capitalized, sentence
from tasks.world.writing import write_drawn

Shortcut = Literal["guess", "prior"]
KINDS = ("price", "above", "sizes")
TYPES = {"price": "numerical", "above": "multiple-choice", "sizes": "numerical"}
USUAL = {"price": "12", "above": "yes", "sizes": "2"}  # of the second world
RELIABLE = 0.9  # of the training questions have a shortcut that is right
# held-out sets of each world: as in training, of no worth, wrong, and none
SETS: dict[Shortcut, tuple[str, ...]] = {
    "guess": ("usual", "chance", "wrong", "absent"), "prior": ("usual", "chance", "wrong"),
}  # fmt: skip
PRICES = tuple(str(n) for n in range(1, 25))
COUNTS = tuple(str(n) for n in range(6))
TRIES = 2000  # receipts that are drawn for one with a price


@dataclass(frozen=True)
class Puzzle:
    """A question about a picture.

    Attributes:
        facts: What a whole caption says, in its order: `tea 7`, or a sentence about a shape.
        about: What the question names: an item, two shapes, or a size.
        values: All that the answer could be.
    """

    kind: str
    picture: Picture
    question: str
    answer: str
    facts: tuple[str, ...]
    about: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def others(self) -> list[str]:
        """Wrong answers that are plausible."""
        return [value for value in self.values if value != self.answer]


def draw_puzzle(rng: random.Random, kind: str, split: str, answer: str = "") -> Puzzle:
    """Draw a picture of a split with a question about it.

    Args:
        answer: That the question has to have; any without it.
    """
    for _ in range(TRIES):
        picture = draw(rng, "receipt" if kind == "price" else "scene", split)
        found = {"price": _price, "above": _above, "sizes": _sizes}[kind](rng, picture, answer)
        if found and (not answer or found.answer == answer):
            return found
    raise ValueError(f"no picture of {split} has the answer {answer} to {kind}")


def caption_of(kind: str, facts: Sequence[str]) -> str:
    """Return what is written of some facts.

    >>> caption_of("price", ["tea 7", "Total 7"])
    'tea 7, Total 7'
    """
    return (", " if kind == "price" else " ").join(facts)


def answer_from(puzzle: Puzzle, said: Sequence[str]) -> str | None:
    """Return the answer to a puzzle that follows from what is said; None where it tells too little.

    Args:
        said: Facts, true or not.
    """
    if puzzle.kind == "price":
        prices = dict(fact.rsplit(" ", 1) for fact in said)
        return prices.get(puzzle.about[0])
    if puzzle.kind == "above":
        rows = [
            next((row_of(fact) for fact in said if name in fact), None) for name in puzzle.about
        ]
        first, second = rows
        if first is None or second is None or first == second:
            return None
        return "yes" if first < second else "no"
    if not said or not all(any(size in fact for size in SIZES) for fact in said):
        return None
    return str(sum(puzzle.about[0] in fact for fact in said))


def row_of(fact: str) -> int | None:
    """Return the third of the picture that a sentence places its shape in, from the top.

    >>> row_of("A small red star at the bottom left."), row_of("A small red star.")
    (2, None)
    """
    words = fact.rstrip(".").lower()
    for row, cells in enumerate((CELLS[:3], CELLS[3:6], CELLS[6:])):
        if any(words.endswith(at(cell)) for cell in cells):
            return row
    return None


def _price(rng: random.Random, receipt: Picture, answer: str) -> Puzzle | None:
    items = [fact for fact in receipt.facts if fact.keys != ("Total",)]
    wanted = [fact for fact in items if not answer or fact.text == answer]
    if not wanted:
        return None
    item = rng.choice(wanted)
    facts = tuple(f"{fact.keys[0]} {fact.text}" for fact in receipt.facts)
    return Puzzle(
        "price", receipt, f"How much is the {item.keys[0]}?", item.text, facts, item.keys, PRICES
    )


def _above(rng: random.Random, scene: Picture, answer: str) -> Puzzle | None:
    names = Counter(item.name for item in scene.shapes)
    pairs = [
        (a, b) for a in scene.shapes for b in scene.shapes
        if _row(a) != _row(b) and names[a.name] == names[b.name] == 1
    ]  # fmt: skip
    if not pairs:
        return None
    wanted = answer or rng.choice(("yes", "no"))
    a, b = rng.choice([(a, b) for a, b in pairs if (_row(a) < _row(b)) == (wanted == "yes")])
    question = f"Is the {a.name} above the {b.name}?"
    return Puzzle("above", scene, question, wanted, _told(scene), (a.name, b.name), ("yes", "no"))


def _sizes(rng: random.Random, scene: Picture, answer: str) -> Puzzle:
    sizes = Counter(item.size for item in scene.shapes)
    size = rng.choice([s for s in SIZES if str(sizes[s]) == answer] or SIZES)
    question = f"How many {size} objects are there?"
    return Puzzle("sizes", scene, question, str(sizes[size]), _told(scene), (size,), COUNTS)


def _told(scene: Picture) -> tuple[str, ...]:
    return tuple(capitalized(sentence(item)) + "." for item in scene.shapes)


def _row(item: Shape) -> int:
    return CELLS.index(item.cell) // 3


# ---- the worlds --------------------------------------------------------------------------------


def with_guess(question: str, guess: str) -> str:
    """Return a question that ends with a guess.

    >>> with_guess("How much is the tea?", "7")
    'How much is the tea? Guess: 7.'
    """
    return f"{question} Guess: {guess}." if guess else question


def make_question(
    seed: int, shortcut: Shortcut, name: str, split: str, number: int, reliable: float = RELIABLE
) -> Sample:
    """Draw one question of a world; it depends on its place alone.

    Args:
        name: Of its set: `train`, `dev`, or one of `SETS`.
        reliable: Share of the questions with a shortcut, as in training, whose shortcut is right.
    """
    rng = random.Random(f"shortcuts/{seed}/{shortcut}/{name}/{number}")
    kind = KINDS[number % len(KINDS)]
    usual = name in ("train", "dev", "usual")
    right = usual and rng.random() < reliable
    if shortcut == "guess":
        puzzle = draw_puzzle(rng, kind, split)
        guess = {
            "chance": rng.choice(puzzle.values), "wrong": rng.choice(puzzle.others), "absent": "",
        }.get(name, puzzle.answer if right else rng.choice(puzzle.others))  # fmt: skip
    else:
        guess = ""
        wanted = USUAL[kind] if right else ""
        puzzle = draw_puzzle(rng, kind, split, wanted)
        while puzzle.answer == USUAL[kind] and not right and name != "chance":
            puzzle = draw_puzzle(rng, kind, split)
    cue = guess if shortcut == "guess" else USUAL[kind]
    return Sample(
        id=f"{name}-{number}", task=f"shortcut_{kind}", split=split,
        prompt=with_guess(puzzle.question, guess), metric="typed", answer=puzzle.answer,
        final=puzzle.answer, images=[to_png(puzzle.picture.frames[0])],
        size=puzzle.picture.frames[0].size, label=name,
        details={
            "problem_type": TYPES[kind], "shortcut": shortcut, "cue": cue,
            "cue_right": cue == puzzle.answer, "question": puzzle.question,
            "facts": list(puzzle.facts), "kind": kind,
        },
    )  # fmt: skip


def write_shortcuts(
    folder: Path, seed: int, shortcut: Shortcut, sizes: dict[str, int], processes: int = 2,
    reliable: float = RELIABLE,
) -> int:  # fmt: skip
    """Write a world: training and dev questions, and its held-out sets; returns their number.

    Args:
        sizes: Questions of `train`, of `dev`, and of each held-out set (`test`).
    """
    sets = [("train", "train", sizes["train"]), ("dev", "dev", sizes["dev"])]
    sets += [(name, "test", sizes["test"]) for name in SETS[shortcut]]
    jobs = [
        (seed, shortcut, name, split, n, reliable) for name, split, number in sets
        for n in range(number)
    ]  # fmt: skip
    return write_drawn(folder, _part, jobs, processes, 20, seed=seed, shortcut=shortcut)


def _part(job: tuple[int, Shortcut, str, str, int, float]) -> list[Sample]:
    return [make_question(*job)]
