"""Compares short values: one normaliser for every answer, relaxed accuracy, ANLS.

After the specification of GCoT (arXiv 2507.02859), section 7; relaxed accuracy is ChartQA's (arXiv
2203.10244) and ANLS that of scene text and document questions (arXiv 1905.13648), as lmms-eval
counts both.
"""

import re
from collections.abc import Callable, Sequence

from rapidfuzz.distance import Levenshtein

from tasks.asking.answers import short_answer
from tasks.rewards.text import content_of

TOLERANCE = 0.05  # of ChartQA, inclusive
LEAST_SIMILARITY = 0.5  # of ANLS: below it an answer is another one
LONGEST = 64  # characters of a number
_SIGNS = "$€£¥"
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_GROUPED = re.compile(r"([+-]?\d{1,3})((?:,\d{3})+)(\.\d+)?", re.ASCII)


def number_in(text: str) -> float | None:
    """Return the number that a text is, however it is set; None where it is no number.

    Currency signs, separators of thousands and a percent sign do not count. What could be two
    numbers (`1.234,50`), has digits of another script, or is none (`nan`, `1_000`) is text.

    >>> number_in("$10,600"), number_in("50%"), number_in("1.234,50"), number_in("nan")
    (10600.0, 50.0, None, None)
    """
    text = text.strip()
    if not text or len(text) > LONGEST:
        return None
    sign, rest = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    bare = sign + rest.strip(_SIGNS).removesuffix("%").strip()
    if found := _GROUPED.fullmatch(bare):
        bare = f"{found[1]}{found[2].replace(',', '')}{found[3] or ''}"
    return float(bare) if _PLAIN.fullmatch(bare) else None


def normalised(text: str) -> str:
    """Return what counts of a short answer.

    Section 7: without space around it, in lower case, without `$` and `,`, and without a full stop
    or a percent sign at its end.

    >>> normalised(" $1,000. "), normalised("2%"), normalised("Boeing 747.")
    ('1000', '2', 'boeing 747')
    """
    return " ".join(text.lower().replace("$", "").replace(",", "").split()).rstrip(".%").rstrip()


def same_value(answer: str, reference: str) -> bool:
    """Return whether two short answers are the same: normalised texts, or equal numbers.

    >>> same_value("325.0", "325"), same_value("Shortage.", "shortage"), same_value("", "")
    (True, True, False)
    """
    ours, theirs = normalised(answer), normalised(reference)
    if ours == theirs:
        return bool(ours)
    first, second = number_in(ours), number_in(theirs)
    return first is not None and first == second


def relaxed_correct(answer: str, reference: str) -> bool:
    """Return whether an answer is right within 5 %, as ChartQA counts it.

    Two plain numbers may differ by 5 % of the reference, a percent sign divides by 100; all else,
    and a reference of 0, has to be the same text but for case. So `1,000` is no number here, and
    any year near the right one is right: `exact` stands beside it wherever it is reported.

    >>> relaxed_correct("100", "105"), relaxed_correct("5%", "0.05"), relaxed_correct("5", "5%")
    (True, True, False)
    """
    first, second = _plain(answer), _plain(reference)
    if first is not None and second:
        return abs(first - second) <= TOLERANCE * abs(second)
    return answer.strip().lower() == reference.strip().lower()


def anls(answer: str, references: Sequence[str]) -> float:
    """Return the average normalised Levenshtein similarity to the nearest reference, in [0, 1].

    Of equal length in characters counts the longer of the texts as they stand; a similarity below
    a half is 0, and nothing said where nothing is right is 1.

    >>> anls("helo", ["hello"]), anls("cat", ["dog", "cart"]), anls("abc", ["xyz"])
    (0.8, 0.75, 0.0)
    """
    best = max((_similarity(answer, reference) for reference in references), default=0.0)
    return best if best >= LEAST_SIMILARITY else 0.0


def _plain(text: str) -> float | None:
    text = text.strip()
    number, percent = text.removesuffix("%"), text.endswith("%")
    if len(number) > LONGEST or not _PLAIN.fullmatch(number):
        return None
    return float(number) / 100 if percent else float(number)


def _similarity(answer: str, reference: str) -> float:
    longest = max(len(answer), len(reference))
    if not longest:
        return 1.0
    ours, theirs = (" ".join(text.lower().split()) for text in (answer, reference))
    return 1 - Levenshtein.distance(ours, theirs) / longest


def right_value(completions: Sequence, references: Sequence, **_: object) -> list[float | None]:
    """Reward a short answer of the same value (0 or 1); None without references."""
    return _rewarded(completions, references, lambda said, true: float(same_value(said, true)))


def relaxed_value(completions: Sequence, references: Sequence, **_: object) -> list[float | None]:
    """Reward a short answer within 5 % (0 or 1); None without references."""
    return _rewarded(completions, references, lambda said, true: float(relaxed_correct(said, true)))


def similar_text(completions: Sequence, references: Sequence, **_: object) -> list[float | None]:
    """Reward a short answer by its similarity, in [0, 1]; None without references."""
    return _rewarded(completions, references, lambda said, true: anls(said, [true]))


def _rewarded(
    completions: Sequence, references: Sequence, worth: Callable[[str, str], float]
) -> list[float | None]:
    return [
        max(worth(short_answer(content_of(text)), true) for true in wanted) if wanted else None
        for text, wanted in zip(completions, references, strict=True)
    ]
