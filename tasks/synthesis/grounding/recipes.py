"""What is learnt of the lessons: chains with verified boxes, or what a baseline learns instead."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from tasks.records.rows import Sample
from tasks.synthesis.grounding.bank import Bank, boxes_of
from tasks.synthesis.grounding.chains import asked, reference_of
from tasks.synthesis.grounding.lessons import Lesson, Unverified, grounded_chain, with_boxes

Recipe = Literal["grounded", "unverified", "chains", "answers"]
Row = tuple[str, str, str, list[bytes]]  # sample's id, question, what is learnt, pictures


def rows_to_learn(
    samples: Sequence[Sample],
    lessons: Mapping[str, Lesson],
    bank: Bank,
    recipe: Recipe,
    unverified: Unverified,
    words: str,
) -> tuple[list[Row], dict[str, int]]:
    """Return a row per sample, and how many there are of each sort.

    A sample without a chain, or one of whose facts none has a box, gives its plain answer.

    Args:
        lessons: Of the samples that have a chain, by id.
        bank: Of verified boxes; of any for the recipe `unverified`.
        words: In which chains are asked for.
    """
    reasons = recipe != "answers"
    falls_back = recipe == "grounded" and unverified != "drop"
    rows: list[Row] = []
    told: Counter[str] = Counter()
    for sample in samples:
        lesson = lessons.get(sample.id)
        if lesson and falls_back and _all_failed(lesson, bank):
            told["all_facts_failed"] += 1
            lesson = None
        text = _text(lesson, bank, recipe, unverified) if lesson and reasons else None
        if lesson and reasons and text is None:
            told["dropped"] += 1
        elif text is None:
            told["plain"] += 1
            rows.append((sample.id, sample.prompt, reference_of(sample), sample.images))
        else:
            told["chains"] += 1
            rows.append((sample.id, asked(sample, words), text, sample.images))
    return rows, dict(told)


def _all_failed(lesson: Lesson, bank: Bank) -> bool:
    return bool(lesson.facts[0]) and not boxes_of(bank, lesson.sample.id)


def _text(lesson: Lesson, bank: Bank, recipe: Recipe, unverified: Unverified) -> str | None:
    if recipe == "chains":
        return lesson.chains[0]
    if recipe == "unverified":
        return with_boxes(lesson.chains[0], boxes_of(bank, lesson.sample.id))
    return grounded_chain(lesson, bank, unverified)
