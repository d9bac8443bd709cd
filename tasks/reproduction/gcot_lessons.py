"""What the arms of GCoT's experiment learn from: examples, a slipping teacher's chains, boxes."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.records.boxes import boxes_from
from tasks.records.rows import Sample, read_samples
from tasks.reproduction.slips import Slip, slipped
from tasks.rewards.values import same_value
from tasks.synthesis.grounding.bank import Bank, Entry, boxes_of
from tasks.synthesis.grounding.lessons import Lesson
from tasks.synthesis.grounding.targets import targets_of

SLIPPED = 0.3  # of the teacher's facts
TASKS = ("difference", "sum", "more")
MOST = 64  # examples of a replicate; every seed has others


def lessons_of(
    data: str, family: str, seed: int, n: int, slips: float = SLIPPED
) -> tuple[list[Lesson], dict[str, tuple[Slip, ...]]]:
    """Return the lessons of a replicate with what the teacher says, and its slips by sample.

    Every lesson has two attempts, of which the first one counts; what the data says about places
    is not handed on.
    """
    lessons, wrong = [], {}
    for sample in examples(data, family, seed, n):
        chain, wrong[sample.id] = slipped(sample, slips, seed)
        second, _ = slipped(sample, slips, seed + 1000)
        lessons.append(lesson(sample, chain, second))
    return lessons, wrong


def lesson(sample: Sample, *chains: str) -> Lesson:
    """Return a lesson; what the data says about places stays behind."""
    chains = tuple(dict.fromkeys(chains))
    blind = sample.model_copy(update={"corners": [], "details": {}})
    return Lesson(blind, chains, tuple(tuple(targets_of(chain)) for chain in chains))


def kept_by_kind(
    lessons: Sequence[Lesson], slips: dict[str, tuple[Slip, ...]], bank: Bank
) -> dict[str, list[int]]:
    """Return how many facts have a box and how many there are, by kind of slip; `true` for none."""
    kept: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for one in lessons:
        boxes = boxes_of(bank, one.sample.id)
        wrong = {slip.said: slip.kind for slip in slips[one.sample.id]}
        for target in one.facts[0]:
            kind = wrong.get(target.text, "true")
            there[kind] += 1
            kept[kind] += target.text in boxes
    return {kind: [kept[kind], there[kind]] for kind in there}


def true_boxes(lessons: Iterable[Lesson], samples: Iterable[Sample]) -> Bank:
    """Return the true box of every target that stands in its picture, of several the first."""
    texts = {sample.id: sample.details["texts"] for sample in samples}
    found: Bank = {}
    for one in lessons:
        for target in one.targets:
            there = [at for text, at in texts[one.sample.id] if same_value(text, target.text)]
            if there:
                [box] = boxes_from(there[:1], one.sample.size)
                found[one.sample.id, target.text] = Entry(box.to((100, 100)), 0, 0)
    return found


def turned(bank: Bank) -> Bank:
    """Return a bank in which every target has the box of the sample's next one."""
    found: Bank = {}
    for owner in dict.fromkeys(owner for owner, _ in bank):
        mine = [(key, entry) for key, entry in bank.items() if key[0] == owner]
        following = [entry for _, entry in mine[1:] + mine[:1]]
        found |= {key: entry for (key, _), entry in zip(mine, following, strict=True)}
    return found


def examples(data: str, family: str, seed: int, n: int) -> list[Sample]:
    """Return n examples; fewer are the first of more, and every seed has others."""
    there = derived(data, "train", family)
    first = seed * MOST
    return there[first : first + n]


def derived(data: str, split: str, family: str) -> list[Sample]:
    """Return the derived questions about a family, the kinds in turn, in an order drawn once."""
    groups = [
        [x for x in read(data, split, family) if x.task == f"{family}_{kind}"] for kind in TASKS
    ]
    for group in groups:
        random.Random(f"gcot/{split}/{family}").shuffle(group)
    return [sample for some in zip(*groups, strict=True) for sample in some]


def held_out_lessons(data: str, family: str, pages: int) -> list[Lesson]:
    """Return lessons about dev pages, with true chains; nothing is learnt from them."""
    there = derived(data, "dev", family)[-pages:]
    return [lesson(sample, str(sample.details["cot"])) for sample in there]


def read(data: str, split: str, family: str) -> list[Sample]:
    """Return all questions about a family."""
    return [x for x in read_samples(Path(data), split) if x.task.startswith(f"{family}_")]
