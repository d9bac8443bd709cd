"""Puts candidates before a judge: pairs in both orders, and single candidates for a score.

>>> from tasks.asking.turns import asking
>>> pair = Judgement("1", "How many stars?", (b"a picture",), ("Two.", "Three."))
>>> with asking("outputs/judge", memory) as judge:                                # doctest: +SKIP
...     [verdict] = judge_pairs(judge, [pair])
...     verdict.winner, verdict.preference
('A', 0.93)

Follows UnifiedReward (arXiv 2503.05236). We differ in three places: every pair is judged in both
orders; what the judge would say counts by the log-probability of the two whole sentences, and not
by the first token, which is the same for both; and what cannot be read is a counted hole, never a
win for the first candidate nor a score (specification, section 8, items 1 to 3).
"""

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import choix
import numpy as np

from tasks.asking.asker import Asker, softmax
from tasks.asking.conversation import Answer
from tasks.judging.verdicts import pair_winner, point_score
from tasks.judging.wording import SENTENCES, asked, score_said
from tasks.records.judgements import OTHER, TIE, A, B, Judgement

VERDICT_TOKENS = 32  # a sentence of two names takes 13 tokens of the embedded model
SCORES = 11  # of a scale are asked for, the ends among them, where it has more whole numbers


@dataclass(frozen=True)
class Verdict:
    """What a judge says about a pair in both orders, told in the pair's own.

    Attributes:
        orders: Who wins as the pair stands, and who wins when it was shown the other way round:
            "A", "B", "tie", or None where that could not be read.
        preference: Probability that A is better, in [0, 1], the mean of both orders; None where
            one could not be read.
        texts: What was written in each order.
        tokens: Of both texts.
        seconds: Of both.
        unjudged: Why it could not be asked; "" where it was.
    """

    orders: tuple[str | None, str | None]
    preference: float | None
    texts: tuple[str, str] = ("", "")
    tokens: int = 0
    seconds: float = 0.0
    unjudged: str = ""

    @property
    def readable(self) -> bool:
        """Whether both orders could be read."""
        return None not in self.orders

    @property
    def consistent(self) -> bool:
        """Whether both orders name the same winner."""
        return self.readable and self.orders[0] == self.orders[1]

    @property
    def winner(self) -> str | None:
        """The preferred one, "A" or "B"; None where both weigh the same or nothing was read."""
        if self.preference is None or self.preference == 0.5:
            return None
        return A if self.preference > 0.5 else B


@dataclass(frozen=True)
class Points:
    """How good a judge finds one candidate.

    Attributes:
        written: The score that it wrote; None where that could not be read.
        expected: The mean of the scale's scores, by how likely it would write each; None where the
            model's home does not tell. Users of a released judge got three scores for nearly
            everything: this is another value, and never mixed with the written one.
        unjudged: As in `Verdict`.
    """

    written: float | None
    expected: float | None
    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    unjudged: str = ""


def judge_pairs(
    judge: Asker,
    pairs: Sequence[Judgement],
    *,
    max_new_tokens: int = VERDICT_TOKENS,
    title: str = "judging pairs",
) -> list[Verdict]:
    """Judge every pair in both orders; position bias cancels in the mean."""
    answers: dict[int, Answer] = {}
    shown = [order for pair in pairs for order in (pair, pair.swapped())]
    for places in _by(shown, lambda j: j.task):
        sentences = SENTENCES[shown[places[0]].task]
        replies = judge.ask(
            [asked(shown[i]) for i in places],
            max_new_tokens=max_new_tokens,
            alternatives=(sentences[A], sentences[B]),
            title=title,
        )
        answers |= {i: reply for i, [reply] in zip(places, replies, strict=True)}
    return [_verdict(pair.task, answers[2 * i], answers[2 * i + 1]) for i, pair in enumerate(pairs)]


def vote_pairs(
    judge: Asker,
    pairs: Sequence[Judgement],
    votes: int,
    *,
    temperature: float = 0.7,
    max_new_tokens: int = VERDICT_TOKENS,
    seed: int = 0,
) -> list[float | None]:
    """Return the share of sampled verdicts for A, half of them in each order.

    A tie is half a vote; None where no vote could be read.
    """
    shown = [order for pair in pairs for order in (pair, pair.swapped())]
    replies = judge.ask(
        [asked(j) for j in shown], samples=votes, temperature=temperature, seed=seed,
        max_new_tokens=max_new_tokens, title="voting",
    )  # fmt: skip
    shares: list[float | None] = []
    for pair, straight, turned in zip(pairs, replies[::2], replies[1::2], strict=True):
        cast = [pair_winner(a.text, pair.task) for a in straight]
        cast += [_turned(pair_winner(a.text, pair.task)) for a in turned]
        worth = [{A: 1.0, TIE: 0.5, B: 0.0}[vote] for vote in cast if vote]
        shares.append(sum(worth) / len(worth) if worth else None)
    return shares


def score_points(
    judge: Asker,
    points: Sequence[Judgement],
    *,
    max_new_tokens: int = VERDICT_TOKENS,
    title: str = "scoring",
) -> list[Points]:
    """Score single candidates, each on its own scale."""
    found: dict[int, Points] = {}
    for places in _by(points, lambda j: (j.scale, j.task)):
        (low, high), task = points[places[0]].scale, points[places[0]].task
        scores = _scores(low, high)
        replies = judge.ask(
            [asked(points[i]) for i in places],
            max_new_tokens=max_new_tokens,
            alternatives=[score_said(score, task) for score in scores],
            title=title,
        )
        for i, [reply] in zip(places, replies, strict=True):
            found[i] = Points(
                point_score(reply.text, low, high),
                _expected(scores, reply.alternatives),
                reply.text, reply.tokens, reply.seconds, reply.unanswered,
            )  # fmt: skip
    return [found[i] for i in range(len(points))]


def ranking(preferences: dict[tuple[int, int], float], number: int) -> list[float]:
    """Return the strength of each candidate, of mean 0, after Bradley and Terry (1952).

    Args:
        preferences: Probability that the first of two candidates is better than the second, for
            the pairs that were judged.
        number: Of candidates.

    >>> first, second, third = ranking({(0, 1): 0.9, (1, 2): 0.9, (0, 2): 0.99}, 3)
    >>> first > second > third
    True
    """
    won = np.zeros((number, number))
    for (a, b), share in preferences.items():
        won[a, b] += share
        won[b, a] += 1 - share
    # a little of every other one, so that a candidate that always wins has a strength
    return choix.ilsr_pairwise_dense(won, alpha=0.01).tolist()


def all_pairs(number: int) -> list[tuple[int, int]]:
    """Return the pairs of so many candidates.

    >>> all_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return list(itertools.combinations(range(number), 2))


def _verdict(task: str, straight: Answer, turned: Answer) -> Verdict:
    orders = pair_winner(straight.text, task), _turned(pair_winner(turned.text, task))
    preference = None
    if None not in orders:
        first = share_of_first(straight, task)
        second = share_of_first(turned, task)
        preference = (first + 1 - second) / 2
    return Verdict(
        orders, preference, (straight.text, turned.text),
        straight.tokens + turned.tokens, straight.seconds + turned.seconds,
        straight.unanswered or turned.unanswered,
    )  # fmt: skip


def share_of_first(answer: Answer, task: str) -> float:
    """Return the probability that the candidate shown first is better, in [0, 1].

    That of its sentence, among both, where one of them is what was written. After other words, or
    of a server that does not tell, only what was written counts: 1, 0, or a half for a tie.
    """
    said = pair_winner(answer.text, task)
    sentences = (SENTENCES[task][A], SENTENCES[task][B])
    plain = answer.text.strip().rstrip(".").lower() in (s.lower() for s in sentences)
    if plain and len(answer.alternatives) == len(sentences):
        return softmax(answer.alternatives)[0]
    return {A: 1.0, B: 0.0}.get(said or "", 0.5)


def _turned(winner: str | None) -> str | None:
    return winner and OTHER[winner]


def _scores(low: float, high: float) -> list[float]:
    whole = high - low
    if whole == int(whole) and whole < SCORES:
        return [low + n for n in range(int(whole) + 1)]
    return [low + whole * n / (SCORES - 1) for n in range(SCORES)]


def _expected(scores: Sequence[float], log_probs: Sequence[float]) -> float | None:
    if len(log_probs) != len(scores):
        return None
    shares = np.exp(np.array(log_probs) - max(log_probs))
    texts = [f"{score:g}" for score in scores]
    for i, text in enumerate(texts):  # "1" is also how "10" begins, which is no 1
        longer = [k for k, other in enumerate(texts) if other != text and other.startswith(text)]
        shares[i] = max(0.0, shares[i] - sum(shares[k] for k in longer))
    return float(shares @ np.array(scores) / shares.sum()) if shares.sum() else None


def _by(judgements: Sequence[Judgement], key: Callable[[Judgement], Hashable]) -> list[list[int]]:
    """Return the places of judgements that are asked alike, in order."""
    groups: dict[Hashable, list[int]] = {}
    for i, judgement in enumerate(judgements):
        groups.setdefault(key(judgement), []).append(i)
    return list(groups.values())
