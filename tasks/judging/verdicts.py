"""Reads a reward model's verdicts; an unreadable verdict is never a win.

UnifiedReward (arXiv 2503.05236) writes "Answer X is better" and "Final Score: n". We differ from
its released parsers: an unreadable verdict is None instead of a win for the first answer, scores
are numbers and not strings, the range is checked, and a number in the middle of prose is no score
(specification section 8, items 1, 2, 7 and 8).
"""

import re
from collections.abc import Sequence

from tasks.records.judgements import TIE

_MARKER = re.compile(r"overall judg(?:e)?ment\s*:", re.IGNORECASE)
_BETTER = re.compile(
    r"\b(answer|image|video|response)\s+([12ab])\s+is\s+(?:the\s+)?(?:slightly\s+)?better\b"
    r"(?:\s+than\s+(?:answer|image|video|response)\s+([12ab])\b)?",
    re.IGNORECASE,
)
_EQUAL = re.compile(r"\bboth\s+(answer|image|video|response)s\s+are\s+equally\s+good\b", re.I)
_LETTER = re.compile(r"[\"'(]?([ab12])[\"').]?", re.IGNORECASE)
_SCORE_MARKER = re.compile(r"final\s+score\s*:", re.IGNORECASE)
# A number, maybe out of the highest: 7, 7.5/10, 85 out of 100. What goes on as another number
# (1,000, 7-8, 7 to 8, 3/4/5), as a share (85 %) or as a word (3rd) is none.
_SCORE = re.compile(
    r"[\s\"'(]*([-+]?\d+(?:\.\d+)?)(?:\s*(?:/|out\s+of|of)\s*(\d+(?:\.\d+)?))?"
    r"(?![\w%/]|\s%|[.,]\d|\s*(?:-|–|to\b|or\b)\s*\d)",
    re.IGNORECASE | re.ASCII,
)
# What each task's candidates are called; "Response 1" counts for an answer (specification, 11).
NOUNS = {
    "image_understanding": ("answer", "response"),
    "video_understanding": ("answer", "response"),
    "image_generation": ("image",),
    "video_generation": ("video",),
}
RANGES = {  # of the released training sets' point scores, one scale each and never rescaled
    "image_understanding": (0.0, 100.0),
    "video_understanding": (1.0, 5.0),
    "image_generation": (1.0, 5.0),
    "video_generation": (1.0, 10.0),
}
_END = re.compile(r"[\s\"').]*")


def pair_winner(text: str, task: str = "") -> str | None:
    """Return "A" or "B", or None when the verdict cannot be read or names both.

    Args:
        task: One of `NOUNS`: only what it calls its candidates counts, and "Both images are equally
            good" is "tie". Without it any noun counts, and no verdict is a tie.

    >>> pair_winner("Overall Judgment: **Answer 2 is better**."), pair_winner("Both are fine.")
    ('B', None)
    >>> pair_winner("Image 1 is better than Image 2", "image_generation")
    'A'
    >>> pair_winner("Both videos are equally good", "video_generation")
    'tie'
    """
    text = text.replace("*", "").strip()
    if letter := _LETTER.fullmatch(text):
        return _side(letter[1])
    after_marker = _MARKER.split(text)[-1]
    nouns = NOUNS.get(task) or {noun for some in NOUNS.values() for noun in some}
    said = set()
    for noun, better, worse in _BETTER.findall(after_marker):
        if noun.lower() in nouns:
            said.add(None if worse and _side(worse) == _side(better) else _side(better))
    if task:
        said |= {TIE for noun in _EQUAL.findall(after_marker) if noun.lower() in nouns}
    return said.pop() if len(said) == 1 else None


def right_winner(
    completions: Sequence[str], winner: Sequence[str], judged: Sequence[str], **columns: object
) -> list[float | None]:
    """Return 1 for a verdict that names the winner, and 0 for any other or none.

    Args:
        winner: "A" or "B", in the order that was shown.
        judged: The task, which says what its candidates are called.

    >>> right_winner(["Image 2 is better than Image 1", "?"], ["B", "B"], ["image_generation"] * 2)
    [1.0, 0.0]
    """
    asked = zip(completions, winner, judged, strict=True)
    return [float(pair_winner(text, task) == truth) for text, truth, task in asked]


def point_score(text: str, low: float, high: float) -> float | None:
    """Return the score in [low, high], or None when there is none or it is out of range.

    A score is the number right after the last "Final Score:", or one that is the whole text.

    >>> point_score("Clear. Final Score: 4.5", 1, 5), point_score("Final Score: 12", 1, 10)
    (4.5, None)
    >>> point_score("7/10", 1, 10), point_score("I see 3 objects, well described.", 1, 10)
    (7.0, None)
    """
    parts = _SCORE_MARKER.split(text.replace("*", ""))
    number = _SCORE.match(parts[-1])
    if not number or (len(parts) == 1 and not _END.fullmatch(parts[0], number.end())):
        return None
    value, scale = float(number[1]), number[2]
    if scale and float(scale) != high:  # 4 out of 5 is no 4 out of 10
        return None
    return value if low <= value <= high else None


def _side(name: str) -> str:
    return {"1": "A", "2": "B"}.get(name, name.upper())
