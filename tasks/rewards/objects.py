"""Objects that a text names, and whether they are there: CHAIR, always with recall beside it.

>>> names = {"cat": "cat", "kitten": "cat", "hot dog": "hot dog", "dog": "dog"}
>>> mentions("Two kittens and a hot dog.", names)
['cat', 'hot dog']

Follows CHAIR (Rohrbach et al., arXiv 1809.02156): words stand for categories by a list of synonyms,
plurals count, and of "hot dog" the dog does not.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textblob.en.inflect import singularize

from tasks.rewards.text import content_of
from tasks.running.errors import UserError

LONGEST = 20_000  # characters of a text; what follows is not read
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True)
class Named:
    """The objects that a text names.

    Attributes:
        mentions: Categories, once for every mention.
        there: Categories that are in the picture.
    """

    mentions: tuple[str, ...]
    there: frozenset[str]

    @classmethod
    def of(cls, text: str, there: Collection[str], names: Mapping[str, str]) -> "Named":
        """Return what a text names."""
        return cls(tuple(mentions(text, names)), frozenset(there))

    @property
    def absent(self) -> list[str]:
        """Mentions of what is not there."""
        return [name for name in self.mentions if name not in self.there]

    @property
    def recall(self) -> float:
        """Share of what is there that is named, in [0, 1]; of nothing, all is."""
        return len(self.there & set(self.mentions)) / len(self.there) if self.there else 1.0

    @property
    def precision(self) -> float:
        """Share of the mentions that are there, in [0, 1]; of none, all are."""
        return 1 - len(self.absent) / len(self.mentions) if self.mentions else 1.0


def mentions(text: str, names: Mapping[str, str]) -> list[str]:
    """Return the categories that a text names, once for every mention, in its order.

    Args:
        names: Categories by the words that stand for them, in lower case and in the singular; the
            longest of several words counts.
    """
    words = [match[0].lower() for match in _WORD.finditer(text[:LONGEST])]
    longest = max((len(name.split()) for name in names), default=1)
    found, place = [], 0
    while place < len(words):
        for length in range(min(longest, len(words) - place), 0, -1):
            *first, last = words[place : place + length]
            forms = (" ".join([*first, form]) for form in (last, singularize(last)))
            if name := next((form for form in forms if form in names), ""):
                found.append(names[name])
                place += length
                break
        else:
            place += 1
    return found


def chair(captions: Sequence[Named]) -> dict[str, float]:
    """Return CHAIR_I, CHAIR_S and recall of captions, shares in [0, 1].

    >>> there = frozenset({"cat", "dog"})
    >>> chair([Named(("cat", "bird"), there), Named(("cat", "dog"), there)])
    {'chair_i': 0.25, 'chair_s': 0.5, 'recall': 0.75}
    """
    named = sum(len(one.mentions) for one in captions)
    absent = sum(len(one.absent) for one in captions)
    there = sum(len(one.there) for one in captions)
    found = sum(len(one.there & set(one.mentions)) for one in captions)
    return {
        "chair_i": absent / named if named else 0.0,
        "chair_s": sum(bool(one.absent) for one in captions) / len(captions) if captions else 0.0,
        "recall": found / there if there else 1.0,
    }


def says_only_what_is_there(
    completions: Sequence, there: Sequence, names: Sequence[str], **_: object
) -> list[float | None]:
    """Reward naming all that is there and nothing else: F1 of objects, in [0, 1].

    >>> says_only_what_is_there(["A cat and a bird."], [["cat", "dog"]], ["cat,kitten;bird;dog"])
    [0.5]

    Precision is 1 - CHAIR_I of the caption. None where nobody knows what is in the picture.

    Args:
        there: Categories that are in each picture.
        names: All categories with their synonyms, a line or a semicolon between them.
    """
    rewards: list[float | None] = []
    for completion, known, listed in zip(completions, there, names, strict=True):
        if not known:
            rewards.append(None)
            continue
        categories = synonyms(listed.replace(";", "\n"))
        one = Named.of(content_of(completion), known, categories)
        total = one.precision + one.recall
        rewards.append(2 * one.precision * one.recall / total if total and one.mentions else 0.0)
    return rewards


def known_objects(details: Mapping[str, Any]) -> tuple[list[str], dict[str, str]] | None:
    """Return what a picture shows and the words for it, from a sample's details; None if unknown.

    >>> known_objects({"objects": ["cat"], "names": "cat, kitten"})
    (['cat'], {'cat': 'cat', 'kitten': 'cat'})
    """
    there = [str(one) for one in details.get("objects") or []]
    return (there, synonyms(listed_names(details))) if there else None


def listed_names(details: Mapping[str, Any]) -> str:
    """Return a line of words per category; the objects alone, where nothing else is said."""
    return str(details.get("names") or "\n".join(map(str, details.get("objects") or [])))


def synonyms(listed: str) -> dict[str, str]:
    """Return categories by the words that stand for them, from CHAIR's published form.

    >>> synonyms("cat, kitten")
    {'cat': 'cat', 'kitten': 'cat'}

    Args:
        listed: A line per category: its name, and words that stand for it, with commas between.

    Raises:
        UserError: A word stands for two categories.
    """
    found: dict[str, str] = {}
    twice = []
    for line in listed.splitlines():
        words = [" ".join(word.lower().split()) for word in line.split(",")]
        for word in filter(None, words):
            if found.setdefault(word, words[0]) != words[0]:
                twice.append(word)
    if twice:
        raise UserError(
            f"The list of synonyms has {', '.join(twice[:5])} in two lines",
            "a word stands for one category",
            "leave each in one line",
        )
    return found
