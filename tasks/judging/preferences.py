"""Preference pairs from a policy's own answers: ranked in pairs, then sifted by score.

Follows UnifiedReward (arXiv 2503.05236, section 3.2): N answers per picture form N/2 disjoint pairs; the
winners' best-scored and the losers' worst-scored answer make the preference pair, if the first scores
strictly higher. We differ in three places: every pair is judged in both orders, an unreadable verdict or
score drops its answer instead of crowning it, and equal scores are told apart by how sure the pair
verdict was.
"""

from dataclasses import dataclass

from tasks.asking import Asker
from tasks.benchmarks.captions import aligned_word_f1
from tasks.judging.judge import Pair, Verdict, judge_pairs, score_points
from tasks.records import Sample


@dataclass(frozen=True)
class Preference:
    """A pair of answers to one question, the first one preferred."""

    sample: Sample
    chosen: str
    rejected: str
    chosen_score: float
    rejected_score: float


@dataclass(frozen=True)
class _Ranked:
    text: str
    surety: float  # how far the pair verdict was from undecided, in [0, 0.5]


def build_preferences(
    policy: Asker,
    judge: Asker,
    samples: list[Sample],
    *,
    candidates: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> tuple[list[Preference], dict[str, float]]:
    """Sample, rank in pairs, sift by score.

    Returns:
        At most one preference per sample, and counts; where reference answers are known also
        `order_accuracy`, the share of pairs whose chosen answer truly is the better one (ties count as
        wrong), beside that of one ranked pair alone (`order_accuracy_ranked_only`).
    """
    answers = policy.ask(
        [(s.prompt, s.images) for s in samples], max_new_tokens=max_new_tokens, samples=candidates,
        temperature=temperature, seed=seed, title="sampling candidates",
    )  # fmt: skip
    texts = [[a.text.strip() for a in group] for group in answers]
    pairs = [
        (i, Pair(s.prompt, s.images, group[k], group[k + 1]))
        for i, (s, group) in enumerate(zip(samples, texts, strict=True))
        for k in range(0, candidates, 2)
        if group[k] != group[k + 1] and group[k] and group[k + 1]
    ]
    verdicts = judge_pairs(judge, [pair for _, pair in pairs], title="ranking pairs")
    winners: list[list[_Ranked]] = [[] for _ in samples]
    losers: list[list[_Ranked]] = [[] for _ in samples]
    for (i, pair), verdict in zip(pairs, verdicts, strict=True):
        if verdict.winner is None or not verdict.consistent:
            continue
        better, worse = (pair.a, pair.b) if verdict.winner == "A" else (pair.b, pair.a)
        surety = abs(verdict.preference - 0.5)
        winners[i].append(_Ranked(better, surety))
        losers[i].append(_Ranked(worse, surety))
    kept = _sift(judge, samples, winners, losers)
    return kept, _report(samples, pairs, verdicts, kept)


def _sift(
    judge: Asker, samples: list[Sample], winners: list[list[_Ranked]], losers: list[list[_Ranked]]
) -> list[Preference]:
    ranked = [
        (i, side, item)
        for i in range(len(samples))
        for side, group in (("won", winners[i]), ("lost", losers[i]))
        for item in group
    ]
    asked = [(samples[i].prompt, samples[i].images, item.text) for i, _, item in ranked]
    scores = score_points(judge, asked, title="scoring candidates")
    scored: dict[tuple[int, str], list[tuple[float, float, str]]] = {}
    for (i, side, item), value in zip(ranked, scores, strict=True):
        if value is not None:
            scored.setdefault((i, side), []).append((value, item.surety, item.text))
    kept = []
    for i, sample in enumerate(samples):
        won, lost = scored.get((i, "won")), scored.get((i, "lost"))
        if not won or not lost:
            continue
        best = max(won, key=lambda row: (row[0], row[1]))
        worst = min(lost, key=lambda row: (row[0], -row[1]))
        if best[0] > worst[0]:
            kept.append(Preference(sample, best[2], worst[2], best[0], worst[0]))
    return kept


def _report(
    samples: list[Sample],
    pairs: list[tuple[int, Pair]],
    verdicts: list[Verdict],
    kept: list[Preference],
) -> dict[str, float]:
    report = {
        "pictures": float(len(samples)),
        "pairs": float(len(kept)),
        "ranked_pairs": float(len(pairs)),
        "swap_consistency": _share([v.consistent for v in verdicts]),
        "unreadable": _share([not v.readable for v in verdicts]),
    }
    if not all(s.answer for s in samples):
        return report
    report["order_accuracy"] = _share(
        [_better(p.chosen, p.rejected, p.sample.answer) for p in kept]
    )
    report["order_accuracy_ranked_only"] = _share(
        [
            _better(*((pair.a, pair.b) if v.winner == "A" else (pair.b, pair.a)), samples[i].answer)
            for (i, pair), v in zip(pairs, verdicts, strict=True)
            if v.winner
        ]
    )
    return report


def _better(a: str, b: str, reference: str) -> bool:
    return aligned_word_f1(a, reference) > aligned_word_f1(b, reference)


def _share(flags: list[bool]) -> float:
    return sum(flags) / max(1, len(flags))
