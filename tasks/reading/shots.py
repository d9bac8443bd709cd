"""Chooses the few labelled examples that a model is adapted from, k of each class.

Follows the protocol of Visual-RFT (arXiv 2503.01785, section 4): few-shot recipes train and test on
the same classes; open vocabulary trains on base classes and tests on novel ones.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.records.rows import Sample
from tasks.running.errors import UserError


@dataclass(frozen=True)
class Shots:
    """The chosen examples.

    Attributes:
        train: k examples of each class to learn from.
        short: Classes with fewer than k examples, and how many they have.
    """

    train: list[Sample]
    short: dict[str, int]


@dataclass
class Pool:
    """Tells a reader which samples to keep: enough of each class and split to choose from.

    Attributes:
        metric: How the wanted questions are scored.
        per_class: Samples of a class kept in each split.
    """

    metric: str
    per_class: int
    held: Counter[tuple] = field(default_factory=Counter)

    def __call__(self, sample: Sample) -> bool:
        """Count the sample and tell whether it is wanted."""
        if sample.metric != self.metric or not sample.label:
            return False
        key = sample.split, sample.task, sample.label, _positive(sample)
        self.held[key] += 1
        return self.held[key] <= self.per_class


@dataclass(frozen=True)
class Chosen:
    """The samples of a few-shot experiment, and counts about them.

    Test questions have `details["group"]`: "tested" for what is adapted to, "other" for what may be
    forgotten by it.
    """

    samples: list[Sample]
    facts: dict[str, Any]


def choose_shots(
    pool: Sequence[Sample],
    *,
    per_class: int,
    dev: int,
    test: int,
    base_classes: int,
    novel: Iterable[str],
    seed: int,
) -> Chosen:
    """Choose examples to learn from, dev questions and test questions.

    Args:
        pool: Samples of one kind of question, in all three splits.
        dev, test: How many questions, spread evenly over the classes.
        base_classes: Classes to learn from, for open vocabulary; 0 to learn from and test all.
        novel: Classes to test, for open vocabulary; none to draw them by the seed.

    Raises:
        UserError: See `k_shots` and `base_and_novel`; or no test question is about the classes.
    """
    train = [sample for sample in pool if sample.split == "train"]
    tasks = {sample.task for sample in train}
    seen = tested = classes_of(train)
    if base_classes:
        seen, tested = base_and_novel(seen, novel, base_classes, seed)
    shots = k_shots(train, per_class, seed, seen)

    def held_out(split: str, number: int, trained: bool, classes: list[str]) -> list[Sample]:
        found = [
            sample for sample in pool
            if sample.split == split
            and (sample.task in tasks and sample.label in classes) == trained
        ]  # fmt: skip
        return spread_over_classes(found, number)

    parts = {
        "train": shots.train,
        "dev": held_out("dev", dev, True, seen),
        "tested": held_out("test", test, True, tested),
        "other": held_out("test", test, False, tested),
    }
    if not parts["tested"]:
        there = sorted({sample.label for sample in pool if sample.split == "test"})
        raise UserError(
            "There is no test question about the classes to be tested",
            f"these are {', '.join(tested[:10])}; the test split is about "
            f"{', '.join(there[:10]) or 'nothing'}",
            "add test pictures of these classes to `shots.data`, or change `shots.recipe` or "
            "`shots.novel_classes`",
        )
    for group in ("tested", "other"):
        parts[group] = [
            sample.model_copy(update={"details": sample.details | {"group": group}})
            for sample in parts[group]
        ]
    facts: dict[str, Any] = {name: len(part) for name, part in parts.items()}
    facts |= {"classes": len(seen), "classes_tested": len(tested), "short_classes": shots.short}
    return Chosen([sample for part in parts.values() for sample in part], facts)


def spread_over_classes(samples: Iterable[Sample], number: int) -> list[Sample]:
    """Return at most `number` samples, taking one of each class in turn."""
    by_class: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample)
    turns = [(turn, name) for name, held in by_class.items() for turn in range(len(held))]
    return [by_class[name][turn] for turn, name in sorted(turns)[:number]]


def classes_of(samples: Iterable[Sample]) -> list[str]:
    """Return the classes that are there to be learnt from: those of samples with something true."""
    return sorted({sample.label for sample in samples if _positive(sample)})


def k_shots(
    samples: Sequence[Sample], k: int, seed: int, classes: Iterable[str] | None = None
) -> Shots:
    """Draw k examples of each class without replacement.

    An example of an absent class (nothing is to be found) counts for no class; as many of them are
    drawn as there are classes, at most, so that a right refusal can be learnt as well. A seed draws
    the same examples of a class whatever the other classes are.

    Args:
        k: Examples per class; all of them where there are fewer.
        classes: Draw from these only; None for all that have examples.

    Raises:
        UserError: A class has no example at all, or there are no classes.
    """
    by_class: dict[str, list[Sample]] = defaultdict(list)
    absent: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        (by_class if _positive(sample) else absent)[sample.label].append(sample)
    wanted = sorted(by_class) if classes is None else sorted(classes)
    if missing := [name for name in wanted if name not in by_class]:
        raise UserError(
            f"{len(missing)} classes have no example to learn from",
            f"nothing in the train split shows {', '.join(missing[:10])}",
            "name other classes, or add examples",
        )
    if not wanted:
        raise UserError(
            "There are no classes to draw examples of",
            "no sample of the train split has a label and something true",
            "check `shots.data` and `shots.recipe`",
        )
    train = [sample for name in wanted for sample in _drawn(by_class[name], k, f"{seed}/{name}")]
    empty = [sample for name in wanted for sample in absent[name]]
    train += _drawn(empty, len(wanted), f"{seed}/absent")
    counts = Counter({name: len(by_class[name]) for name in wanted})
    return Shots(train, {name: n for name, n in counts.items() if n < k})


def base_and_novel(
    classes: Sequence[str], novel: Iterable[str], base: int, seed: int
) -> tuple[list[str], list[str]]:
    """Split classes for open vocabulary.

    Args:
        novel: Classes kept for the test. If none are named, `base` classes are drawn by the seed
            and all others are novel.
        base: How many classes to learn from, when novel ones are not named.

    Returns:
        Base and novel classes, sorted.

    Raises:
        UserError: A named class does not exist, or one side would be empty.
    """
    named = sorted(set(novel))
    if unknown := [name for name in named if name not in classes]:
        raise UserError(
            f"{len(unknown)} novel classes do not exist",
            f"the data has no class {', '.join(unknown[:10])}",
            f"name some of {', '.join(sorted(classes)[:10])}",
        )
    if named:
        first = [name for name in sorted(classes) if name not in named]
    else:
        first = sorted(
            random.Random(f"base classes/{seed}").sample(sorted(classes), min(base, len(classes)))
        )
    second = [name for name in sorted(classes) if name not in first]
    if not first or not second:
        raise UserError(
            "Open vocabulary needs classes to learn from and others to test",
            f"{len(first)} base and {len(second)} novel classes are left of {len(classes)}",
            "change `shots.novel_classes` or `shots.base_classes`",
        )
    return first, second


def _drawn(samples: list[Sample], k: int, seed: str) -> list[Sample]:
    return random.Random(seed).sample(samples, min(k, len(samples)))


def _positive(sample: Sample) -> bool:
    return bool(sample.label) and bool(sample.corners or sample.final)
