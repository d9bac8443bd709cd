"""VQA accuracy: an answer is right as far as three of ten people gave it.

>>> vqa_accuracy("2", ["two"] * 2 + ["three"] * 8)
0.6

Follows Antol et al. (arXiv 1505.00468) and the processing that its authors published: lower case,
words of numbers as digits, no articles, an apostrophe where one was left out, no signs. An answer's
accuracy is the mean over all choices of nine of the ten people of min(1, how many gave it / 3).
"""

import re
from collections.abc import Sequence

from tasks.asking.answers import short_answer
from tasks.rewards.text import content_of

PEOPLE = 3  # who have to agree
LONGEST = 2000  # characters of an answer; what follows is not read
_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
_ARTICLES = {"a", "an", "the"}
_CONTRACTED = """
    ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd
    how'll how's i'd've i'm i've isn't it'd it'll let's ma'am might've mightn't must've mustn't
    needn't oughtn't shan't she'd've should've shouldn't somebody'd somebody'll somebody's someone'd
    someone'll someone's something'd something'll that's there'd there're there's they'd they'll
    they're they've wasn't we've weren't what'll what're what's what've when's where'd where's
    where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd
    you'll you're you've
"""
_APOSTROPHES = {word.replace("'", ""): word for word in _CONTRACTED.split()}
_SIGNS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")  # one between digits stays


def vqa_words(text: str) -> str:
    """Return what counts of an answer.

    >>> vqa_words("Two dogs, dont you see?"), vqa_words("1,000"), vqa_words("a T-shirt")
    ("2 dogs don't you see", '1000', 't shirt')
    """
    text = text[:LONGEST].replace("\n", " ").replace("\t", " ").strip()
    grouped = bool(_COMMA_IN_NUMBER.search(text))
    for sign in _SIGNS:
        # one that stands beside a space goes, one between two letters leaves a space
        free = f"{sign} " in text or f" {sign}" in text or grouped
        text = text.replace(sign, "" if free or text.endswith(sign) else " ")
    words = (_NUMBERS.get(word, word) for word in _FULL_STOP.sub("", text).lower().split())
    return " ".join(_APOSTROPHES.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, answers: Sequence[str]) -> float:
    """Return how far people agree with an answer, in [0, 1].

    Args:
        answers: One of each person, most often of ten; of fewer, fewer have to agree.
    """
    said = vqa_words(answer)
    same = [vqa_words(one) == said for one in answers]
    if len(same) < 2:
        return float(any(same))
    needed = min(PEOPLE, len(same) - 1)
    agreeing = sum(same)
    return sum(min(1.0, (agreeing - one) / needed) for one in same) / len(same)


def agreed_answer(completions: Sequence, references: Sequence, **_: object) -> list[float | None]:
    """Reward a short answer by VQA accuracy, in [0, 1]; None without references."""
    return [
        vqa_accuracy(short_answer(content_of(text)), people) if people else None
        for text, people in zip(completions, references, strict=True)
    ]
