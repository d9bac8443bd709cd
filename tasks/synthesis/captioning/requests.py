"""What is asked about the objects of trusted sentences: how each looks, and where it is.

Specification of ScaleCap (arXiv 2506.19848), section 3, steps 3 and 6, with the repairs of section
8: in reading order, tolerant of list markers, names with periods whole (item 9), a budget (10),
and no sentence lost (11).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Look = Literal["look", "place"]
MOST = 500  # lines of one answer that are read
LONGEST = 300  # characters of an object's name
_MARKER = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.)]|\(?[a-z][.)])?\s*")


@dataclass(frozen=True)
class Request:
    """What a captioner is asked about one object.

    Attributes:
        sentence: The place of the trusted sentence that names it first.
        text: The words of the request.
    """

    object: str
    sentence: int
    kind: Look
    text: str


def parse_instructions(response: str, prefix: str, ended: bool = True) -> list[str]:
    r"""Return the instructions of a writer's answer, each once, in reading order.

    >>> parse_instructions("1. Look at the U.S. flag.\n- Look at it", "Look at")
    ['Look at the U.S. flag.', 'Look at it.']

    Args:
        prefix: What an instruction begins with.
        ended: The answer ended by itself; the last line of one that was cut off is no instruction.
    """
    lines = response.splitlines()[:MOST]
    found: dict[str, None] = {}
    for number, line in enumerate(lines):
        said = _MARKER.sub("", line, count=1).rstrip()
        if not said.startswith(prefix):
            continue
        # a line may hold several; the first one counts
        said, more, _ = said.partition(f". {prefix}")
        whole = said.endswith(".") or bool(more)
        if not whole and not ended and number == len(lines) - 1:
            continue
        name = said[len(prefix) :].removesuffix(".").strip()
        if name and len(name) <= LONGEST:
            found[f"{prefix} {name}."] = None
    return list(found)


def position_instruction(instruction: str, prefix: str) -> str:
    """Return the request for an object's place.

    >>> position_instruction("Look closer at the bar.", "Look closer at")
    'Look closer at the position of the bar.'
    """
    return f"{prefix} the position of{instruction[len(prefix) :]}"


def plan_requests(
    per_sentence: Sequence[Sequence[str]],
    prefix: str,
    budget: int | None = None,
    kinds: Sequence[Look] = ("look", "place"),
) -> list[Request]:
    """Return the requests of a caption: both of an object after one another, in reading order.

    Args:
        per_sentence: The instructions of each trusted sentence; an object counts where it is
            named first.
        budget: Objects at most; None for all.
    """
    seen: dict[str, int] = {}
    for number, instructions in enumerate(per_sentence):
        for instruction in instructions:
            seen.setdefault(instruction, number)
    asked = list(seen.items())[:budget]
    return [
        Request(
            instruction[len(prefix) :].removesuffix(".").strip(), number, kind,
            instruction if kind == "look" else position_instruction(instruction, prefix),
        )
        for instruction, number in asked for kind in kinds
    ]  # fmt: skip


def organise_details(
    sentences: Sequence[str], requests: Sequence[Request], answers: Mapping[str, str], kind: Look
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return a block per trusted sentence: the sentence, and each of its objects with its answer.

    Args:
        answers: By the text of the request; one that was dropped or not given is left out.
    """
    return [
        (
            f"{sentence}.",
            [
                (one.object, " ".join(answers[one.text].split())) for one in requests
                if one.kind == kind and one.sentence == number and answers.get(one.text)
            ],
        )
        for number, sentence in enumerate(sentences)
    ]  # fmt: skip


def details_text(blocks: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """Return blocks as a writer reads them.

    >>> print(details_text([("A bar.", [("the bar", "It is red.")])]))
    A bar.
    the bar: It is red.
    """
    return "\n\n".join(
        "\n".join([sentence, *(f"{name}: {answer}" for name, answer in objects)])
        for sentence, objects in blocks
    )
