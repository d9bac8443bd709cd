r"""Questions with options: what stands behind each letter, and which one an answer chooses.

    >>> options = options_in("Which colour?\nA. red\nB. blue")
    >>> chosen("It is (B).", options), chosen("Red.", options), chosen("A blue one", options)
    ('B', 'A', 'A')

The last is the price of the rule (section 7 of Visionary-R1's specification): the option of that
text, or the first letter that stands alone. A stricter rule stands beside it where it is reported.
"""

import re
from collections.abc import Mapping
from string import ascii_uppercase

from tasks.rewards.values import normalised

LETTERS = ascii_uppercase[:8]  # A to H
LONGEST = 20_000  # characters of a question or an answer; what follows is not read
_LINE = re.compile(rf"^[ \t]*\(?([{LETTERS}])[.):][ \t]+(\S.*)$", re.MULTILINE)
_BETWEEN = re.compile(rf"(?:^|,?\s)([{LETTERS}]):\s")  # MMStar: `Options: A: red, B: blue`
_ALONE = re.compile(rf"(?<![A-Za-z0-9])([{LETTERS}])(?![A-Za-z0-9'’])")
_MARK = "Options:"


def options_in(question: str) -> dict[str, str]:
    """Return the options that a question lists, by letter; nothing where it lists none.

    >>> options_in("Which? Options: A: red, B: light blue"), options_in("Plan A: is it B?")
    ({'A': 'red', 'B': 'light blue'}, {})
    """
    question = question[:LONGEST]
    listed = [(letter, text.strip()) for letter, text in _LINE.findall(question)]
    if _MARK in question and len(listed) < 2:
        _, *parts = _BETWEEN.split(question.rpartition(_MARK)[2].strip())
        listed = list(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))
    letters = "".join(letter for letter, _ in listed)
    return dict(listed) if len(listed) > 1 and LETTERS.startswith(letters) else {}


def chosen(answer: str, options: Mapping[str, str]) -> str | None:
    """Return the letter that an answer chooses; None where it chooses nothing.

    Args:
        options: Texts by letter; a text may be empty where the picture shows it.
    """
    answer = answer.strip()[:LONGEST]
    if len(bare := answer.strip(" .():*").upper()) == 1 and bare in options:
        return bare
    said = normalised(answer)
    if same := [letter for letter, text in options.items() if said and normalised(text) == said]:
        return same[0]
    found = _ALONE.search(answer)
    return found[1] if found else None
