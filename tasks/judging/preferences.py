"""Preference pairs from candidates: ranked in pairs, then sifted by score.

Follows UnifiedReward (arXiv 2503.05236, section 3.2): N candidates of a prompt form N/2 disjoint
pairs in order; the best-scored winner and the worst-scored loser make the preference pair, if the
first scores strictly higher. We differ in three places: every pair is judged in both orders and
counts where both agree; what cannot be read drops its candidate instead of crowning it; and equal
scores are told apart by how sure the pair verdict was before the first counts. Every prompt without
a pair has its reason.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from models.statistics import known, mean
from tasks.asking.asker import Asker
from tasks.judging.candidates import Candidate, Candidates
from tasks.judging.judge import VERDICT_TOKENS, Verdict, judge_pairs, score_points
from tasks.records.judgements import TIE, A, Judgement

Method = Literal["two_stage", "pair", "point", "random"]
Better = Callable[[Candidates, int, int], bool | None]
Verdicts = Callable[[Asker, Sequence[Judgement]], list[Verdict]]
NO_PAIR = "no two candidates differ"
NO_VERDICT = "no pair has the same readable winner in both orders"
NO_SCORE = "no winner and loser have a readable score"
NO_MARGIN = "the best winner scores no higher than the worst loser"


@dataclass(frozen=True)
class Preference:
    """Two candidates of one prompt, the first one preferred.

    Attributes:
        chosen: Its number among the candidates; `rejected` as well.
        chosen_score: The judge's; None where it was not asked for. `rejected_score` as well.
    """

    of: Candidates
    chosen: int
    rejected: int
    chosen_score: float | None = None
    rejected_score: float | None = None

    @property
    def items(self) -> tuple[Candidate, Candidate]:
        """The preferred candidate and the other."""
        return self.of.items[self.chosen], self.of.items[self.rejected]


@dataclass
class Built:
    """What became of the prompts.

    Attributes:
        kept: At most one preference of a prompt.
        dropped: The prompts without one, each with the reason.
        ranked: Every pair that was judged, with its verdict.
        calls: Questions that the judge was asked.
        unjudged: Of those, the ones that could not be.
    """

    kept: list[Preference] = field(default_factory=list)
    dropped: list[tuple[Candidates, str]] = field(default_factory=list)
    ranked: list[tuple[Candidates, int, int, Verdict]] = field(default_factory=list)
    calls: int = 0
    unjudged: int = 0


def sift(
    won: Sequence[int],
    lost: Sequence[int],
    scores: dict[int, float | None],
    surety: dict[int, float] | None = None,
) -> tuple[int, int] | str:
    """Return the best-scored winner and the worst-scored loser, or why there are none.

    Specification 3.2, steps 3 and 4: the winner must score strictly higher, and among equal scores
    the first counts. Candidates without a score are left out.

    Args:
        surety: How far each one's verdict was from undecided; of equal scores the surest counts.

    >>> sift([0, 1], [2, 3], {0: 7.0, 1: 9.0, 2: 4.0, 3: 4.0})
    (1, 2)
    """
    winners = [(score, i) for i in won if (score := scores[i]) is not None]
    losers = [(score, i) for i in lost if (score := scores[i]) is not None]
    if not winners or not losers:
        return NO_SCORE
    sure = surety or {}
    best = max(winners, key=lambda item: (item[0], sure.get(item[1], 0.0)))
    worst = min(losers, key=lambda item: (item[0], -sure.get(item[1], 0.0)))
    return (best[1], worst[1]) if best[0] > worst[0] else NO_MARGIN


def build_preferences(
    judge: Asker | None,
    groups: Sequence[Candidates],
    method: Method = "two_stage",
    *,
    max_new_tokens: int = VERDICT_TOKENS,
    seed: int = 0,
    verdicts: Verdicts | None = None,
) -> Built:
    """Build at most one preference of each prompt.

    Args:
        judge: Not needed by `random`.
        method: `two_stage` ranks and sifts; `pair` takes the first pair with a consistent verdict;
            `point` the best- and the worst-scored of all; `random` any two, as a baseline.
        verdicts: How pairs are judged, if not at once (`tasks.judging.thinking`).
    """
    built, asked = Built(), []
    for group in groups:
        if group.lost:
            built.dropped.append((group, group.lost))
        elif all(group.alike(0, k) for k in range(1, len(group.items))):
            built.dropped.append((group, NO_PAIR))
        else:
            asked.append(group)
    if method == "random":
        _draw(built, asked, seed)
        return built
    if judge is None:
        raise ValueError(f"{method!r} needs a judge")
    if method == "point":
        everyone = [list(range(len(group.items))) for group in asked]
        _sift(built, judge, asked, everyone, everyone, max_new_tokens)
        return built
    at_once = partial(judge_pairs, max_new_tokens=max_new_tokens, title="ranking pairs")
    won, lost = _rank(built, judge, asked, verdicts or at_once)
    ranked = [i for i in range(len(asked)) if won[i]]
    built.dropped += [(g, NO_VERDICT) for i, g in enumerate(asked) if not won[i]]
    if method == "pair":
        built.kept += [Preference(asked[i], won[i][0], lost[i][0]) for i in ranked]
        return built
    _sift(
        built, judge, [asked[i] for i in ranked], [won[i] for i in ranked],
        [lost[i] for i in ranked], max_new_tokens,
    )  # fmt: skip
    return built


def report(built: Built, better: Better | None = None) -> dict[str, float]:
    """Return counts and shares; what there is nothing of is left out.

    Args:
        better: Tells whether the first of two candidates truly is the better one; None where that
            is not known.

    Returns:
        `prompts`, `pairs` kept (of them `without_reference`), `ranked_pairs`, `calls_per_pair`,
        `unanswered`; the share of verdicts with `swap_consistency` and `unreadable`; `margin`, the
        mean difference of scores; and `order_accuracy`, the share of pairs whose chosen candidate
        truly is better (ties count as wrong), beside that of single ranked pairs
        (`order_accuracy_ranked_only`).
    """
    verdicts = [verdict for *_, verdict in built.ranked]
    margins = [
        p.chosen_score - p.rejected_score
        for p in built.kept
        if p.chosen_score is not None and p.rejected_score is not None
    ]
    truths = [better(p.of, p.chosen, p.rejected) for p in built.kept] if better else []
    single = [
        better(group, *((a, b) if verdict.winner == A else (b, a)))
        for group, a, b, verdict in built.ranked
        if better and verdict.winner
    ]
    return {
        "prompts": float(len(built.kept) + len(built.dropped)),
        "pairs": float(len(built.kept)),
        "ranked_pairs": float(len(built.ranked)),
        "unanswered": float(built.unjudged + sum(bool(g.lost) for g, _ in built.dropped)),
    } | known(
        {
            "calls_per_pair": built.calls / len(built.kept) if built.kept else None,
            "swap_consistency": mean([v.consistent for v in verdicts]),
            "unreadable": mean([not v.readable for v in verdicts]),
            "margin": mean(margins),
            "without_reference": float(n) if (n := sum(t is None for t in truths)) else None,
            "order_accuracy": mean([t for t in truths if t is not None]),
            "order_accuracy_ranked_only": mean([t for t in single if t is not None]),
        }
    )


def reasons(built: Built) -> dict[str, int]:
    """Return how many prompts were dropped for each reason."""
    return dict(Counter(reason for _, reason in built.dropped).most_common())


def _draw(built: Built, groups: Sequence[Candidates], seed: int) -> None:
    for group in groups:
        rng = random.Random(f"{seed} {group.id}")
        places = [(a, b) for a in range(len(group.items)) for b in range(len(group.items))]
        built.kept.append(
            Preference(group, *rng.choice([p for p in places if not group.alike(*p)]))
        )


def _rank(
    built: Built, judge: Asker, groups: Sequence[Candidates], judged: Verdicts
) -> tuple[list[list[int]], list[list[int]]]:
    """Judge disjoint pairs in order; return the winners and the losers of each group."""
    places = [
        (i, k, k + 1)
        for i, group in enumerate(groups)
        for k in range(0, len(group.items) - 1, 2)
        if not group.alike(k, k + 1)
    ]
    verdicts = judged(judge, [groups[i].pair(a, b) for i, a, b in places])
    won: list[list[int]] = [[] for _ in groups]
    lost: list[list[int]] = [[] for _ in groups]
    for (i, a, b), verdict in zip(places, verdicts, strict=True):
        built.ranked.append((groups[i], a, b, verdict))
        if verdict.consistent and verdict.orders[0] != TIE:
            better, worse = (a, b) if verdict.orders[0] == A else (b, a)
            won[i].append(better)
            lost[i].append(worse)
    built.calls += 2 * len(places)
    built.unjudged += sum(bool(verdict.unjudged) for verdict in verdicts)
    return won, lost


def _sift(
    built: Built,
    judge: Asker,
    groups: Sequence[Candidates],
    won: Sequence[Sequence[int]],
    lost: Sequence[Sequence[int]],
    max_new_tokens: int,
) -> None:
    """Score each group's winners and losers once, and keep its pair or the reason for none."""
    members = [sorted({*w, *m}) for w, m in zip(won, lost, strict=True)]
    asked = [group.point(k) for group, some in zip(groups, members, strict=True) for k in some]
    points = score_points(judge, asked, max_new_tokens=max_new_tokens, title="scoring candidates")
    built.calls += len(asked)
    built.unjudged += sum(bool(point.unjudged) for point in points)
    written = iter(point.written for point in points)
    surety: dict[str, dict[int, float]] = {}
    for group, a, b, verdict in built.ranked:
        sure = abs((verdict.preference or 0.5) - 0.5)
        surety.setdefault(group.id, {}).update({a: sure, b: sure})
    for group, some, w, m in zip(groups, members, won, lost, strict=True):
        scores = {k: next(written) for k in some}
        found = sift(w, m, scores, surety.get(group.id))
        if isinstance(found, str):
            built.dropped.append((group, found))
        else:
            best, worst = found
            built.kept.append(Preference(group, best, worst, scores[best], scores[worst]))
