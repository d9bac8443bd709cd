"""A text model by rules, for the micro-world's captions: it lists objects, sums up, and reads.

It sees words alone, as any text model does, and knows the grammar of the micro-world's captions and
nothing of a picture. `RuleEngine` answers conversations as a model would; `docs/scalecap.md` says
where it stands in for one.
"""

import re
from collections.abc import Iterator, Sequence

from tasks.asking.asker import Asked, Writing
from tasks.asking.conversation import Answer, Conversation, Scored, text_of
from tasks.world.lexicon import CELLS, COLORS, SHAPES, SIZES

_SHAPE = re.compile(rf"\b({'|'.join(SHAPES)})\b")
_CELL = re.compile(rf"\b({'|'.join(sorted(CELLS, key=len, reverse=True))})\b")


_LISTED = re.compile(
    r"A caption of a picture says: (?P<sentence>.*?)\nList the objects.*?exactly like this: "
    r"(?P<prefix>.*?) the object\.", re.DOTALL,
)  # fmt: skip
_PARTS = re.compile(
    r"Sentences about a picture:\n(.*?)\n\nHow its objects look:\n(.*?)\n\nWhere they are:\n(.*?)"
    r"\n\nWrite one caption", re.DOTALL,
)  # fmt: skip
_READ = re.compile(r"A picture is described like this: (.*?)\n(.*)\nAnswer", re.DOTALL)


class RuleEngine:
    """Answers the prompts of `tasks/prompts/caption/` by rules."""

    identity = "rules of the micro-world's captions, 1"

    def answers(self, asked: Sequence[Asked], how: Writing) -> Iterator[tuple[int, list[Answer]]]:
        """Yield the answer to each conversation, the same for every seed."""
        for place, one in enumerate(asked):
            text = answered(text_of(one.conversation))
            yield place, [Answer(text, len(text.split()), ended="end")] * len(one.seeds)

    def scores(self, given: Sequence[tuple[Conversation, str]]) -> Iterator[tuple[int, Scored]]:
        """Rules know no probabilities."""
        for place in range(len(given)):
            yield place, Scored((), (), "rules know no probabilities")


def answered(prompt: str) -> str:
    """Return what the rules answer to a prompt; nothing to one of another sort."""
    if found := _LISTED.match(prompt):
        names = dict.fromkeys(_SHAPE.findall(found["sentence"]))
        return "\n".join(f"{found['prefix']} the {name}." for name in names) or "none"
    if prompt.startswith("These are sentences about a picture"):
        answers = re.findall(r"^the \w+: (.+)$", prompt, re.MULTILINE)
        return " ".join(dict.fromkeys(answers))
    if prompt.startswith("Sentences about a picture:"):
        parts = _PARTS.match(prompt)
        if parts:
            said = [" ".join(part.split()) for part in parts.groups()]
            return " ".join(part for part in said if part != "nothing was asked")
    if found := _READ.match(prompt):
        return read(found[1], found[2])
    return ""


def read(caption: str, question: str) -> str:
    """Return what a caption says to a question of the micro-world; "unknown" where it does not.

    >>> read("A large red star is in the center.", "What color is the star?")
    'red'
    """
    facts = facts_of(caption)
    if found := re.match(r"How many (\w+) objects are there\?", question):
        return str(sum(fact.get("color") == found[1] for fact in facts.values()))
    if found := re.match(r"Is there an? (\w+)\?", question):
        return "yes" if found[1] in facts else "no"
    shape = _SHAPE.search(question)
    fact = facts.get(shape[1], {}) if shape else {}
    for begins, name in (("What color", "color"), ("Is the", "size"), ("Where is", "cell")):
        if question.startswith(begins):
            return fact.get(name, "unknown")
    return "unknown"


def facts_of(caption: str) -> dict[str, dict[str, str]]:
    """Return what a caption says of each shape, its first mention of a fact.

    >>> facts_of("There is a star. The star is small and red.")
    {'star': {'size': 'small', 'color': 'red'}}
    """
    facts: dict[str, dict[str, str]] = {}
    for sentence in caption.split("."):
        named = _SHAPE.search(sentence)
        if not named:
            continue
        fact = facts.setdefault(named[1], {})
        for name, values in (("size", SIZES), ("color", tuple(COLORS))):
            there = [value for value in values if re.search(rf"\b{value}\b", sentence)]
            if there:
                fact.setdefault(name, there[0])
        if cell := _CELL.search(sentence):
            fact.setdefault("cell", cell[1])
    return facts
