"""Writes the scenes with a habit as samples: what is to be answered from their captions alone."""

import random
import re
from dataclasses import dataclass
from pathlib import Path

from tasks.records.images import to_png
from tasks.records.rows import Sample
from tasks.world.captioning import (
    BARE,
    FULL,
    HABITS,
    QUESTIONS,
    TINTS,
    Habitat,
    draw_habitat,
    true_caption,
)
from tasks.world.captioning_rules import facts_of
from tasks.world.lexicon import CELLS, COLORS, SHAPES, SIZES
from tasks.world.wording import at
from tasks.world.writing import write_drawn

# pictures of each split, with five questions each; three draws of 200 are tested
PICTURES = {"dev": 200, "test": 600}


def make_habitat(seed: int, split: str, number: int) -> Habitat:
    """Draw one scene; it depends on its place alone."""
    return draw_habitat(random.Random(f"captions/{seed}/{split}/{number}"), split)


def samples_about(seed: int, split: str, number: int) -> list[Sample]:
    """Return the questions about one scene; their details say what is there."""
    habitat = make_habitat(seed, split, number)
    picture = to_png(habitat.picture.frames[0])
    truth = {
        "tint": habitat.tint, "missing": habitat.missing,
        "shapes": [
            {"shape": s.shape, "color": s.color, "size": s.size, "cell": s.cell}
            for s in habitat.picture.shapes
        ],
        "objects": [s.shape for s in habitat.picture.shapes], "names": "\n".join(SHAPES),
        "caption": true_caption(habitat),
    }  # fmt: skip
    found = []
    for kind, ask in QUESTIONS.items():
        question = ask(random.Random(f"asked/{seed}/{split}/{number}/{kind}"), habitat.picture)
        if question:
            found.append(
                Sample(
                    id=f"{split}-{number}-{kind}", task=f"caption_{kind}", split=split,
                    prompt=question.prompt, metric="exact", answer=question.answer,
                    images=[picture], size=habitat.picture.frames[0].size, details=truth,
                )
            )  # fmt: skip
    return found


def write_caption_world(folder: Path, seed: int, processes: int = 2) -> int:
    """Write all scenes as samples, and return how many samples those are."""
    jobs = [(seed, split, n) for split, number in PICTURES.items() for n in range(number)]
    return write_drawn(folder, _part, jobs, processes, 20, seed=seed, pictures=len(jobs))


def _part(job: tuple[int, str, int]) -> list[Sample]:
    return samples_about(*job)


# ---- what a draft says -----------------------------------------------------------------------

_WHAT = rf"(?:{'|'.join(SIZES)}) (?:{'|'.join(COLORS)}) (?:{'|'.join(SHAPES)})"
_WHERE = "|".join(at(cell) for cell in CELLS)
_SENTENCE = re.compile(
    "|".join(
        [rf"A (?:{'|'.join(TINTS)}) scene"]
        + [form.format(what=_WHAT, where=f"(?:{_WHERE})") for form in FULL]
        + [form.format(shape=f"(?:{'|'.join(SHAPES)})") for form in BARE]
    )
)


@dataclass(frozen=True)
class Read:
    """What a draft says.

    Attributes:
        parsed: Every sentence is one of the grammar.
        named: The shapes that it names.
        habit: It names the object of habit of its tint; None where the tint has none.
    """

    parsed: bool
    named: frozenset[str]
    habit: bool | None


def read_draft(text: str, tint: str) -> Read:
    """Return what a draft about a scene in some tint says."""
    said = [sentence.strip() for sentence in text.split(".") if sentence.strip()]
    named = frozenset(shape for shape in SHAPES if re.search(rf"\b{shape}\b", text))
    habit = HABITS.get(tint)
    parsed = bool(said) and all(_SENTENCE.fullmatch(sentence) for sentence in said)
    return Read(parsed, named, habit in named if habit else None)


def is_true(sentence: str, tint: str, shapes: list[dict[str, str]]) -> bool | None:
    """Return whether a sentence of the grammar is true of a scene; None for another one.

    >>> is_true("A large red star is in the center", "night", [])
    False

    Args:
        shapes: What is there, as a sample's details say it.
    """
    said = sentence.strip().rstrip(".")
    if not _SENTENCE.fullmatch(said):
        return None
    if said.endswith(" scene"):
        return said == f"A {tint} scene"
    [(shape, fact)] = facts_of(said).items()
    return any(
        one["shape"] == shape and all(one[name] == value for name, value in fact.items())
        for one in shapes
    )
