"""Cuts a caption into sentences and clauses, on its text and not on its tokens.

Specification of ScaleCap, section 4 (`golden_sentences`), with the repairs of section 8: a period
between two digits is no end (item 6), closing quotes and brackets belong to their sentence, stops
of other scripts are stops (7), and an unended last sentence is one (5).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 200_000  # characters of a caption; a longer one is one sentence
STOPS, CLOSING = ".?!。？！", "\"'”’)\\]»"
# what ends a sentence: newlines, or stops with what closes behind them
_END = re.compile(rf"\n+|[{STOPS}]+[{CLOSING}]*")
_LAST = re.compile(rf"[{STOPS}]+([{CLOSING}]*)\s*$")
_NOTHING = re.compile(rf"[\s{STOPS}{CLOSING}]*")
# what a period may stand behind without ending a sentence: U.S., e.g., and what a name follows
_SHORT = re.compile(r"(?:^|[^\w.])(?:(?:[A-Za-z]\.)+[A-Za-z]|approx|vs|cf|etc)$")
_TITLE = re.compile(r"(?:^|[^\w.])(?:Dr|Mr|Mrs|Ms|St|Fig|fig)$")
COMMA = ","


@dataclass(frozen=True)
class Span:
    """A part of a text: `text[start:end]`."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Return what it is."""
        return text[self.start : self.end]


def sentences(text: str) -> list[Span]:
    """Return the sentences of a text with the stops at their ends, and none that is empty.

    >>> text = 'A 3.5 cm bar. It says "go."  The U.S. flag'
    >>> [without_stop(span.of(text)) for span in sentences(text)]
    ['A 3.5 cm bar', 'It says "go"', 'The U.S. flag']
    """
    if len(text) > LONGEST:
        return [Span(0, len(text))]
    found, start = [], 0
    leading = _END.match(text)  # a stop before any word is text
    for match in _END.finditer(text, leading.end() if leading else 0):
        if _ends(text, match):
            found.append(Span(start, match.end()))
            start = match.end()
    found.append(Span(start, len(text)))
    trimmed = (_trimmed(text, one) for one in found)
    return [span for span in trimmed if _NOTHING.fullmatch(span.of(text)) is None]


def without_stop(sentence: str) -> str:
    """Return a sentence without its last stop; what closes behind it stays.

    >>> without_stop('He says "go."'), without_stop("Really?!")
    ('He says "go"', 'Really')
    """
    found = _LAST.search(sentence)
    said = sentence[: found.start()] + found[1] if found else sentence
    return said.strip()


def clauses(text: str, sentence: Span, tokens: Sequence[Span]) -> list[Span]:
    """Return the clauses of a sentence: it is cut at commas that are tokens of their own.

    A token that holds a comma and more belongs to both sides, and cannot be cut.
    """
    commas = [
        token for token in tokens
        if sentence.start <= token.start < sentence.end and token.of(text).strip() == COMMA
    ]  # fmt: skip
    starts = [sentence.start, *(comma.end for comma in commas)]
    ends = [*(comma.start for comma in commas), sentence.end]
    return [Span(a, b) for a, b in zip(starts, ends, strict=True)]


def places(tokens: Sequence[str]) -> list[Span]:
    """Return where tokens stand in the text that they make.

    >>> places(["A", " bar"])
    [Span(start=0, end=1), Span(start=1, end=5)]
    """
    found, start = [], 0
    for token in tokens:
        found.append(Span(start, start + len(token)))
        start += len(token)
    return found


def _ends(text: str, match: re.Match[str]) -> bool:
    if not match[0].startswith(".") or match[0].startswith(".."):
        return True
    before, after = text[max(0, match.start() - 12) : match.start()], text[match.end() :]
    if len(match[0]) == 1 and after and not after[0].isspace():
        return False  # 3.5, U.S., a name of a file
    if _TITLE.search(before):
        return False
    return not _SHORT.search(before) or after.lstrip()[:1].isupper() or not after.strip()


def _trimmed(text: str, span: Span) -> Span:
    start, end = span.start, span.end
    while start < end and text[start] in " \t\n\r":
        start += 1
    while end > start and text[end - 1] in " \t\n\r":
        end -= 1
    return Span(start, end)
