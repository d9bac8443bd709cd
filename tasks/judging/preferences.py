"""Preference pairs from a policy's own answers: ranked in pairs, then sifted by score.

Follows UnifiedReward (arXiv 2503.05236, section 3.2): N answers per picture form N/2 disjoint
pairs; the winners' best-scored and the losers' worst-scored answer make the preference pair, if the
first scores strictly higher. We differ in three places: every pair is judged in both orders, an
unreadable verdict or score drops its answer instead of crowning it, and equal scores are told apart
by how sure the pair verdict was.
"""

from dataclasses import dataclass, replace

from models.statistics import known, mean
from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, question
from tasks.judging.judge import Pair, Verdict, judge_pairs, score_points
from tasks.records.rows import Sample
from tasks.rewards.captions import aligned_word_f1


@dataclass(frozen=True)
class Preference:
    """A pair of answers to one question, the first one preferred."""

    sample: Sample
    chosen: str
    rejected: str
    chosen_score: float
    rejected_score: float


@dataclass(frozen=True)
class Ranked:
    """A candidate that won or lost its pair.

    Attributes:
        surety: How far the pair verdict was from undecided, in [0, 0.5].
        score: The judge's score; None where it was unreadable.
    """

    text: str
    surety: float
    score: float | None = None


def sift(won: list[Ranked], lost: list[Ranked]) -> tuple[Ranked, Ranked] | None:
    """Return the best-scored winner and the worst-scored loser, if the first scores higher.

    Specification 3.2, steps 3 and 4. Candidates without a score are left out; equal scores are told
    apart by surety, and then the first one counts.
    """
    winners = [item for item in won if item.score is not None]
    losers = [item for item in lost if item.score is not None]
    if not winners or not losers:
        return None
    best = max(winners, key=lambda item: (item.score, item.surety))
    worst = min(losers, key=lambda item: (item.score, -item.surety))
    return (best, worst) if best.score > worst.score else None


def sample_candidates(
    policy: Asker,
    samples: list[Sample],
    *,
    candidates: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> list[list[Answer]]:
    """Let the policy answer every sample `candidates` times, an even number."""
    return policy.ask(
        [question(s.prompt, s.images) for s in samples],
        max_new_tokens=max_new_tokens, samples=candidates, temperature=temperature,
        seed=seed, title="sampling candidates",
    )  # fmt: skip


def build_preferences(
    judge: Asker, samples: list[Sample], answers: list[list[Answer]]
) -> tuple[list[Preference], dict[str, float]]:
    """Rank the answers to each sample in pairs, and sift by score.

    Args:
        answers: The candidates of each sample, an even number of them.

    Returns:
        At most one preference per sample, and counts, among them the questions to either model
        that could not be asked (`unanswered`). Shares are left out where there is nothing that they
        are of: `swap_consistency` and `unreadable` of verdicts; and where reference answers are
        known, `order_accuracy`, the share of pairs whose chosen answer truly is the better one
        (ties count as wrong), beside that of one ranked pair alone (`order_accuracy_ranked_only`).
    """
    texts = [[a.text.strip() for a in group] for group in answers]
    pairs = [
        (i, Pair(s.prompt, s.images, group[k], group[k + 1]))
        for i, (s, group) in enumerate(zip(samples, texts, strict=True))
        for k in range(0, len(group), 2)
        if group[k] != group[k + 1] and group[k] and group[k + 1]
    ]
    verdicts = judge_pairs(judge, [pair for _, pair in pairs], title="ranking pairs")
    winners: list[list[Ranked]] = [[] for _ in samples]
    losers: list[list[Ranked]] = [[] for _ in samples]
    for (i, pair), verdict in zip(pairs, verdicts, strict=True):
        if verdict.winner is None or not verdict.consistent:
            continue
        better, worse = _in_order(pair, verdict)
        surety = abs(verdict.preference - 0.5)
        winners[i].append(Ranked(better, surety))
        losers[i].append(Ranked(worse, surety))
    kept = _sift_all(judge, samples, winners, losers)
    unanswered = sum(bool(group[0].unanswered) for group in answers) + len(judge.unanswered)
    return kept, _report(samples, pairs, verdicts, kept) | {"unanswered": float(unanswered)}


def _sift_all(
    judge: Asker, samples: list[Sample], winners: list[list[Ranked]], losers: list[list[Ranked]]
) -> list[Preference]:
    groups = [*winners, *losers]
    owners = [*samples, *samples]
    asked = [
        (sample.prompt, sample.images, item.text)
        for sample, group in zip(owners, groups, strict=True)
        for item in group
    ]
    scores = iter(score_points(judge, asked, title="scoring candidates"))
    scored = [[replace(item, score=next(scores)) for item in group] for group in groups]
    kept = []
    for sample, won, lost in zip(
        samples, scored[: len(samples)], scored[len(samples) :], strict=True
    ):
        if pair := sift(won, lost):
            best, worst = pair
            kept.append(Preference(sample, best.text, worst.text, best.score, worst.score))
    return kept


def _report(
    samples: list[Sample],
    pairs: list[tuple[int, Pair]],
    verdicts: list[Verdict],
    kept: list[Preference],
) -> dict[str, float]:
    counts = {
        "pictures": float(len(samples)),
        "pairs": float(len(kept)),
        "ranked_pairs": float(len(pairs)),
    }
    if without := sum(not s.answer for s in samples):
        counts["without_reference"] = float(without)
    shares = {
        "swap_consistency": mean([v.consistent for v in verdicts]),
        "unreadable": mean([not v.readable for v in verdicts]),
        "order_accuracy": mean(
            [_better(p.chosen, p.rejected, p.sample.answer) for p in kept if p.sample.answer]
        ),
        "order_accuracy_ranked_only": mean(
            [
                _better(*_in_order(pair, v), samples[i].answer)
                for (i, pair), v in zip(pairs, verdicts, strict=True)
                if v.winner and samples[i].answer
            ]
        ),
    }
    return counts | known(shares)


def _in_order(pair: Pair, verdict: Verdict) -> tuple[str, str]:
    """Return the better answer of a pair first."""
    return (pair.a, pair.b) if verdict.winner == "A" else (pair.b, pair.a)


def _better(a: str, b: str, reference: str) -> bool:
    return aligned_word_f1(a, reference) > aligned_word_f1(b, reference)
