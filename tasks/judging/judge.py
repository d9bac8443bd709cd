"""Puts answers before a reward model: pairs in both orders, and single answers for a score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, question
from tasks.judging.verdicts import pair_winner, point_score
from tasks.prompts import prompt

LOW, HIGH = 1.0, 10.0
OPTIONS = ("A", "B")
VERDICT_TOKENS = 16  # "Overall Judgment: Answer 1 is better." and "Final Score: 7.5" take eight


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
            text = prompt("judge/pairwise", question=pair.question, a=a, b=b)
            asked.append(question(text, pair.images))
    answers = judge.ask(asked, max_new_tokens=VERDICT_TOKENS, alternatives=OPTIONS, title=title)
    return [_verdict(answers[i][0], answers[i + 1][0]) for i in range(0, len(answers), 2)]


def score_points(
    judge: Asker, answers: Sequence[tuple[str, Sequence[bytes], str]], title: str = "scoring"
) -> list[float | None]:
    """Score (question, pictures, answer) triples in [1, 10]; None where the score is unreadable."""
    asked = [
        question(prompt("judge/pointwise", question=about, a=text), images)
        for about, images, text in answers
    ]
    replies = judge.ask(asked, max_new_tokens=VERDICT_TOKENS, title=title)
    return [point_score(reply[0].text, LOW, HIGH) for reply in replies]


def _verdict(first: Answer, second: Answer) -> Verdict:
    straight, swapped = pair_winner(first.text), pair_winner(second.text)
    if straight is None or swapped is None:  # also where the judge could not be asked
        return Verdict(None, 0.5, False, False)
    preference = (share_of_a(first, straight) + 1 - share_of_a(second, swapped)) / 2
    winner = None if preference == 0.5 else "AB"[preference < 0.5]
    return Verdict(winner, preference, straight != swapped, True)


def share_of_a(answer: Answer, winner: str) -> float:
    """Return the probability that the first answer is better, in [0, 1].

    The letters' probabilities only speak for a verdict that is a letter. Where it was written in
    words, and where the letter that was written is not the likelier one (because its token is
    another than that of `OPTIONS`), the verdict alone counts.
    """
    if answer.text.strip() == winner and len(answer.alternatives) == len(OPTIONS):
        a, b = answer.alternatives
        if winner == "AB"[b > a]:
            return 1 / (1 + math.exp(min(b - a, 700.0)))
    return float(winner == "A")
