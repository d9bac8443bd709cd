"""The answer rule of Visionary-R1: a short answer is compared as its `problem_type` says.

    >>> worth_by_type("about 1,234 apples", "1234", "numerical")
    1.0
    >>> worth_by_type("7 of 12", "12", "numerical")  # two numbers: which one is meant?
    0.0

After arXiv 2505.14677 (specification, 4.2 and 4.6, strict). Both grammars, with a caption and
without, are paid by this one rule, and so is what a witness says: the released arms differ in it.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from rapidfuzz.distance import Levenshtein

from tasks.asking.answers import tagged_answer
from tasks.rewards.text import content_of

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

OCR, FREE_FORM = "OCR", "free-form"  # all others are compared as exact values
TOLERANCE = 1e-6  # relative, of numbers
LONGEST = 2000  # characters: ROUGE of two such texts of single letters takes 0.15 s
DIGITS = 64  # of a number
_SIGNS = "+-−–"  # a minus sign and a dash are not a hyphen
_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_WHOLE = re.compile(rf"[{_SIGNS}]?{_NUMBER}\s?%?\.?")
# digits with all commas and points that belong to them: `1.234,50` is no number, and not two
_RUN = re.compile(r"[0-9][0-9.,]*|(?<!\w)\.[0-9][0-9.,]*")
_PERCENT = re.compile(r"\s?%")


def right_by_type(
    completions: Sequence, reference: Sequence, problem_type: Sequence, **_: object
) -> list[float | None]:
    """Reward the answer in its tags by the rule of its type, in [0, 1]; None without a reference.

    Args:
        reference: The true short answers.
        problem_type: `OCR`, `free-form`, or any other name for an exact value; None for questions
            that are compared otherwise.
    """
    return [
        None
        if kind is None or not gold
        else worth_by_type(tagged_answer(content_of(completion)) or "", gold, kind)
        for completion, gold, kind in zip(completions, reference, problem_type, strict=True)
    ]


def worth_by_type(said: str, gold: str, problem_type: str | None) -> float:
    """Return what a short answer is worth, in [0, 1].

    Nothing if it is empty, all if it is the same text but for case. Otherwise `free-form` earns the
    mean of ROUGE, a number earns all if it is the only one in the answer, and `OCR` earns what the
    texts have in common.

    >>> worth_by_type("Blue", "blue", "free-form"), worth_by_type("0.12", "12%", "numerical")
    (1.0, 1.0)
    """
    said, gold = said.strip().lower(), gold.strip().lower()
    if not said or not gold:
        return 0.0
    if said == gold:
        return 1.0
    if max(len(said), len(gold)) > LONGEST:
        return 0.0
    if problem_type == FREE_FORM:
        return rouge_mean(said, gold)
    if (true := whole_number(gold)) is not None:
        found = only_number(said)
        return float(found is not None and math.isclose(found, true, rel_tol=TOLERANCE))
    return edit_similarity(said, gold) if problem_type == OCR else 0.0


def edit_similarity(said: str, gold: str) -> float:
    """Return 1 - edit distance / length of the longer text: ANLS without its cut at a half.

    >>> edit_similarity("st0p", "stop")
    0.75
    """
    return Levenshtein.normalized_similarity(said, gold)


def rouge_mean(said: str, gold: str) -> float:
    """Return the mean of the F1 of ROUGE-1, ROUGE-2 and ROUGE-L, with Porter's stemmer.

    One word against one word has no pair of words, and so at most 2/3; other scripts than Latin
    have no words at all.
    """
    scores = _scorer().score(gold, said).values()
    return sum(score.fmeasure for score in scores) / len(scores)


def only_number(text: str) -> float | None:
    """Return the number in a text that has exactly one, among other words or alone.

    >>> only_number("It is -1,234.5 m."), only_number("50 %"), only_number("3/4")
    (-1234.5, 0.5, None)
    """
    runs = list(_RUN.finditer(text))
    if len(runs) != 1:
        return None
    start, digits = runs[0].start(), runs[0][0].rstrip(".,")
    if len(digits) > DIGITS or not re.fullmatch(_NUMBER, digits):
        return None
    value = float(digits.replace(",", ""))
    before = text[:start]
    # the dash in `type-3` or `(a)-3` is no sign
    if before[-1:] and before[-1] in _SIGNS[1:] and not re.search(r"[\w)].\Z", before, re.DOTALL):
        value = -value
    return value / 100 if _PERCENT.match(text, start + len(digits)) else value


def whole_number(text: str) -> float | None:
    """Return the number that a text is, a final full stop aside; None where it is more than one.

    >>> whole_number("1,234."), whole_number("12%"), whole_number("12 apples"), whole_number("nan")
    (1234.0, 0.12, None, None)
    """
    text = text.strip()
    return only_number(text) if _WHOLE.fullmatch(text) else None


@cache
def _scorer() -> "RougeScorer":
    # imports all of nltk: a second that stages without such questions need not spend
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
