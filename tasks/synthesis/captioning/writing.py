"""What a text model writes about a caption: its objects, summaries of answers, the final caption.

Specification of ScaleCap (arXiv 2506.19848), section 3, steps 3, 6 and 7. The final caption may add
nothing: new nouns and numbers are counted, preambles are cut, and what comes out empty or cut off
falls back to what it was to be written from.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, question
from tasks.prompts import prompt
from tasks.rewards.values import normalised, number_in
from tasks.synthesis.captioning.requests import (
    Look,
    Request,
    details_text,
    organise_details,
    parse_instructions,
)
from tasks.synthesis.tagging import tagged, universal

_PREAMBLE = re.compile(
    r"^\s*(?:(?:sure|certainly|of course)[,.!]?\s*)?(?:here(?:'s| is| are)\b[^\n:]{0,80}:"
    r"|(?:the\s+)?(?:final\s+)?caption\s*:)\s*",
    re.IGNORECASE,
)
PROMPTS: dict[Look, str] = {"look": "looks", "place": "places"}


@dataclass(frozen=True)
class Material:
    """What a caption is written from.

    Attributes:
        sentences: Trusted ones.
        requests: Of its budget.
        answers: Those that are kept, by the text of the request.
    """

    sentences: tuple[str, ...]
    requests: tuple[Request, ...]
    answers: dict[str, str]

    def details(self, kind: Look) -> str:
        """Return the sentences with what was answered about their objects; "" of no answer."""
        blocks = organise_details(self.sentences, self.requests, self.answers, kind)
        return details_text(blocks) if any(objects for _, objects in blocks) else ""


@dataclass(frozen=True)
class Caption:
    """A final caption.

    Attributes:
        added: Nouns and numbers in it that nothing it was written from has.
        fell_back: What came out empty or cut off, and was replaced by what it was written from.
        calls: Of the writer.
    """

    text: str
    added: tuple[str, ...]
    fell_back: tuple[str, ...]
    calls: int


def list_objects(
    writer: Asker, captions: Sequence[Sequence[str]], prefix: str, max_new_tokens: int
) -> list[list[list[str]]]:
    """Return, per caption, the instructions that each of its trusted sentences gives rise to."""
    flat = [sentence for caption in captions for sentence in caption]
    asked = [
        question(prompt("caption/objects", sentence=f"{sentence}.", prefix=prefix))
        for sentence in flat
    ]
    replies = writer.ask(asked, max_new_tokens=max_new_tokens, title="listing objects")
    found = iter(
        [parse_instructions(one.text, prefix, ended=one.ended != "limit") for [one] in replies]
    )
    return [[next(found) for _ in caption] for caption in captions]


def write_captions(
    writer: Asker, materials: Sequence[Material], max_new_tokens: int, tagger: str
) -> list[Caption]:
    """Return the caption of each material: two summaries, then one text of them all."""
    said: list[dict[str, str]] = [{} for _ in materials]
    fell_back: list[list[str]] = [[] for _ in materials]
    for kind, name in PROMPTS.items():
        details = [material.details(kind) for material in materials]
        places = [i for i, text in enumerate(details) if text]
        asked = [question(_summary(kind, details[i])) for i in places]
        replies = writer.ask(asked, max_new_tokens=max_new_tokens, title=f"summing up {name}")
        for i, [reply] in zip(places, replies, strict=True):
            said[i][name], fell = _or_else(reply, details[i])
            fell_back[i] += [name] * fell
    asked = [
        question(prompt(
            "caption/integrate", sentences="\n".join(f"{one}." for one in material.sentences),
            looks=parts.get("looks", "nothing was asked"),
            places=parts.get("places", "nothing was asked"),
        ))
        for material, parts in zip(materials, said, strict=True)
    ]  # fmt: skip
    replies = writer.ask(asked, max_new_tokens=max_new_tokens, title="writing captions")
    found = []
    for material, parts, fell, [reply] in zip(materials, said, fell_back, replies, strict=True):
        plain = " ".join([*(f"{one}." for one in material.sentences), *parts.values()])
        text, fallen = _or_else(reply, plain)
        sources = [*material.sentences, *material.answers.values()]
        found.append(
            Caption(text, added(text, sources, tagger), (*fell, *["caption"] * fallen),
                    1 + len(parts))
        )  # fmt: skip
    return found


def added(caption: str, sources: Sequence[str], tagger: str = "pattern") -> tuple[str, ...]:
    """Return the nouns and numbers of a caption that no source has, each once.

    >>> added("A red bar and 3 cats.", ["A bar is red", "two cats"])
    ('3',)
    """
    known = {_bare(token.text) for source in sources for token in tagged(source, tagger)}
    found = [
        token.text for token in tagged(caption, tagger)
        if universal(token.tag) in ("NOUN", "PROPN", "NUM") and _bare(token.text) not in known
        and any(sign.isalnum() for sign in token.text)
    ]  # fmt: skip
    return tuple(dict.fromkeys(found))


def without_preamble(text: str) -> str:
    """Return a text without the words that announce it.

    >>> without_preamble("Sure! Here is the final caption: A red bar.")
    'A red bar.'
    """
    return _PREAMBLE.sub("", text, count=1).strip()


def _summary(kind: Look, details: str) -> str:
    if kind == "look":
        return prompt("caption/looks", details=details)
    return prompt("caption/places", details=details)


def _or_else(reply: Answer, otherwise: str) -> tuple[str, bool]:
    text = without_preamble(reply.text)
    if reply.unanswered or reply.ended == "limit" or not text:
        return otherwise, True
    return text, False


def _bare(word: str) -> str:
    """Return what of a word counts: numbers by value, nouns without an s of the plural."""
    if (number := number_in(word)) is not None:
        return f"{number:g}"
    bare = normalised(word)
    return bare.removesuffix("s") if len(bare) > 3 else bare
