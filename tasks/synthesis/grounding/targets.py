"""What of a chain of thought should stand in the picture: its labels and its numbers.

Specification of GCoT, sections 3 (step B) and 4, with the repairs of section 8: numbers count
however they are set (8.6), places are characters and not words between spaces (8.8), one marker
ends the chain (8.7), `nan` is no number (8.12).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.asking.answers import MARKER
from tasks.rewards.values import number_in
from tasks.synthesis.tagging import NUMBER, PATTERN, Token, tagged

NOUNS = ("NN", "NNS", "NNP", "NNPS")
LONGEST = 20_000  # characters of a chain; of a longer one nothing is looked for
# boxes that are there already, and tags
_SKIPPED = re.compile(r"\[[^\[\]\n]{0,80}\]|</?\w{1,20}>")
_VALID = re.compile(r"[\w$.%]+", re.UNICODE)


@dataclass(frozen=True)
class Target:
    """A label or a number of a chain, at its first place.

    Attributes:
        text: As it stands in the chain.
        start, end: Its place in characters.
    """

    text: str
    kind: Literal["number", "text"]
    start: int
    end: int


def reasoning_end(chain: str) -> int:
    """Return where a chain's reasoning ends and its answer begins.

    >>> chain = "It is 5. *Answer*: 5"
    >>> chain[:reasoning_end(chain)]
    'It is 5. '
    """
    found = MARKER.search(chain)
    return found.start() if found else len(chain)


def targets_of(chain: str, tagger: str = PATTERN) -> list[Target]:
    """Return the targets of a chain's reasoning, each once, in the order of their places.

    What stands in brackets is a box already, and none; a tag is none.

    >>> [target.text for target in targets_of("At a price of $325, demand is 20. Answer: 20")]
    ['price', '$325', 'demand', '20']
    """
    if len(chain) > LONGEST:
        return []
    reasoning = chain[: reasoning_end(chain)]
    skipped = [match.span() for match in _SKIPPED.finditer(reasoning)]
    tokens = [
        token for token in tagged(reasoning, tagger)
        if not any(start <= token.start < end for start, end in skipped)
    ]  # fmt: skip
    return extract_targets(tokens)


def extract_targets(tokens: Sequence[Token]) -> list[Target]:
    """Return the nouns and numbers among tokens, each text once."""
    found: dict[str, Target] = {}
    for token in tokens:
        if (token.tag in NOUNS or token.tag == NUMBER) and is_valid_target(token.text):
            kind = "text" if number_in(token.text) is None else "number"
            found.setdefault(token.text, Target(token.text, kind, token.start, token.end))
    return list(found.values())


def is_valid_target(text: str) -> bool:
    """Return whether a word can be looked for: word characters, `$`, `.`, `%`, or a number.

    >>> is_valid_target("Q1.5"), is_valid_target("10,600"), is_valid_target("net-income")
    (True, True, False)
    """
    valid = _VALID.fullmatch(text) is not None
    return valid or (text[:1] not in "+-" and number_in(text) is not None)
