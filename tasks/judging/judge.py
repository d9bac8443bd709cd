"""Puts answers before a reward model: pairs in both orders, and single answers for a score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.asking import Asker
from tasks.judging.verdicts import pair_winner, point_score
from tasks.prompts import prompt

LOW, HIGH = 1.0, 10.0
VERDICT_TOKENS = 4


@dataclass(frozen=True)
class Verdict:
    """What the judge says about a pair, averaged over both orders.

    Attributes:
        winner: "A" or "B"; None when a verdict was unreadable or both orders weigh the same.
        preference: Probability that A is better, in [0, 1].
        consistent: True if both orders name the same answer.
        readable: True if both verdicts could be read.
    """

    winner: str | None
    preference: float
    consistent: bool
    readable: bool


@dataclass(frozen=True)
class Pair:
    """A question about pictures with two answers."""

    question: str
    images: Sequence[bytes]
    a: str
    b: str


def judge_pairs(judge: Asker, pairs: Sequence[Pair], title: str = "judging pairs") -> list[Verdict]:
    """Judge every pair in both orders; position bias cancels in the average."""
    asked = []
    for pair in pairs:
        for a, b in ((pair.a, pair.b), (pair.b, pair.a)):
            text = prompt("pairwise_judgement", question=pair.question, a=a, b=b)
            asked.append((text, pair.images))
    answers = judge.ask(asked, max_new_tokens=VERDICT_TOKENS, options=("A", "B"), title=title)
    return [_verdict(answers[i][0], answers[i + 1][0]) for i in range(0, len(answers), 2)]


def score_points(
    judge: Asker, answers: Sequence[tuple[str, Sequence[bytes], str]], title: str = "scoring"
) -> list[float | None]:
    """Score (question, pictures, answer) triples in [1, 10]; None where the score is unreadable."""
    asked = [
        (prompt("pointwise_judgement", question=question, a=text), images)
        for question, images, text in answers
    ]
    replies = judge.ask(asked, max_new_tokens=VERDICT_TOKENS, title=title)
    return [point_score(reply[0].text, LOW, HIGH) for reply in replies]


def _verdict(first, second) -> Verdict:
    straight, swapped = pair_winner(first.text), pair_winner(second.text)
    if straight is None or swapped is None:  # also where the judge could not be asked
        return Verdict(None, 0.5, False, False)
    preference = (_share_of_a(first) + 1 - _share_of_a(second)) / 2
    winner = None if preference == 0.5 else "AB"[preference < 0.5]
    return Verdict(winner, preference, straight != swapped, True)


def _share_of_a(answer) -> float:
    a, b = answer.first_token
    return 1 / (1 + math.exp(b - a))
