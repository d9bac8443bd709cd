"""How far a judge can be trusted: what it says of held-out judgements against the truth.

Every pair is judged in both orders. Accuracy is that of the mean preference on pairs that have a
winner, and an unreadable verdict is wrong; what there is too little for is left out: an accuracy of
no pairs, a correlation of one score or of equal ones.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from scipy.stats import spearmanr

from models.statistics import known, mean
from tasks.asking.asker import Asker
from tasks.judging.calibration import brier, calibration_error, tau_and_diff, verdicts_within
from tasks.judging.judge import VERDICT_TOKENS, Points, Verdict, judge_pairs, score_points
from tasks.records.choosing import spread
from tasks.records.judgements import TIE, A, B, Judgement, of_style

Metrics = dict[str, float]


def measure_judge(
    judge: Asker,
    judgements: Sequence[Judgement],
    per_kind: int,
    max_new_tokens: int = VERDICT_TOKENS,
) -> Metrics:
    """Judge held-out judgements and compare with the truth.

    Args:
        per_kind: Most pairs, and most points.

    Returns:
        `pair_accuracy`, also by margin (the difference in mistakes), `pair_majority`,
        `swap_consistency`, `score_pair_accuracy` (pairs told apart by their two scores),
        `score_correlation` (Spearman, with the true scores), `score_exact`, `unreadable`, and
        `unanswered`, the number of questions that could not be asked.
    """
    pairs = spread(of_style(judgements, "pair"), per_kind)
    verdicts = judge_pairs(judge, pairs, max_new_tokens=max_new_tokens)
    both = [pair.alone(side) for pair in pairs for side in (0, 1)]
    scored = score_points(judge, both, max_new_tokens=max_new_tokens, title="scoring both answers")
    points = spread(of_style(judgements, "point"), per_kind)
    values = score_points(judge, points, max_new_tokens=max_new_tokens)
    found = pair_measures(pairs, verdicts)
    scores = point_measures(points, values)
    unreadable = [not v.readable for v in verdicts] + [v.written is None for v in values]
    named = {
        "pair_accuracy": found.get("accuracy"),
        "pairs": float(len(pairs)),
        "pair_majority": found.get("majority"),
        "swap_consistency": found.get("swap_consistency"),
        "unreadable": mean(unreadable),
        "unanswered": float(len(judge.unanswered)),
        "score_pair_accuracy": mean(_ordered(pairs, scored)),
        "score_correlation": scores.get("correlation"),
        "score_exact": scores.get("exact"),
        "scores": float(len(points)),
    }
    margins = {
        name if name.startswith("pairs") else f"pair_{name}": value
        for name, value in found.items()
        if "_margin_" in name
    }
    return known(named) | margins


def pair_measures(
    pairs: Sequence[Judgement], verdicts: Sequence[Verdict], band: float = 0.0
) -> Metrics:
    """Return what a judge's verdicts are worth.

    Args:
        band: Width around 0.5 within which a preference is a tie (`tie_band`).

    Returns:
        `accuracy` and its parts by gold position, `gold_first` and `gold_second` (of the order as
        it stands: one far above the other is position bias), and by margin; `tau` over all pairs
        and `diff` over those with a winner, both from one order of verdicts within the band;
        `swap_consistency`, `unreadable`, `unjudged`; `brier` and `calibration_error` of the
        preferences; `tokens` and `seconds` of a verdict.
    """
    decided = [(p, v) for p, v in zip(pairs, verdicts, strict=True) if p.winner in (A, B)]
    right = [v.winner == p.winner for p, v in decided]
    first = [v.orders[0] == A for p, v in decided if p.winner == A]
    second = [v.orders[0] == B for p, v in decided if p.winner == B]
    sure = told_apart(pairs, verdicts)
    gold = [pair.winner for pair in pairs]
    preferences = [verdict.preference for verdict in verdicts]
    winners = [pair.winner for pair, _ in decided]
    measures = {
        "accuracy": mean(right),
        "n": float(len(pairs)),
        "majority": max(Counter(winners).values()) / len(winners) if winners else None,
        "gold_first": mean(first),
        "gold_second": mean(second),
        "swap_consistency": mean(v.consistent for v in verdicts),
        "unreadable": mean(not v.readable for v in verdicts),
        "unjudged": float(sum(bool(v.unjudged) for v in verdicts)),
        "brier": brier(*zip(*sure, strict=True)) if sure else None,
        "calibration_error": calibration_error(*zip(*sure, strict=True)) if sure else None,
        "tokens": mean(v.tokens / 2 for v in verdicts),
        "seconds": mean(v.seconds / 2 for v in verdicts),
    }
    by_margin: dict[int, list[bool]] = defaultdict(list)
    for (pair, _), hit in zip(decided, right, strict=True):
        if pair.margin is not None:
            by_margin[pair.margin].append(hit)
    for margin, hits in sorted(by_margin.items()):
        measures[f"accuracy_margin_{margin}"] = mean(hits)
        measures[f"pairs_margin_{margin}"] = float(len(hits))
    return known(measures) | tau_and_diff(gold, verdicts_within(preferences, band))


def told_apart(pairs: Sequence[Judgement], verdicts: Sequence[Verdict]) -> list[tuple[float, bool]]:
    """Return the preference on every pair with a winner, and whether that is the first."""
    return [
        (verdict.preference, pair.winner == A)
        for pair, verdict in zip(pairs, verdicts, strict=True)
        if pair.winner in (A, B) and verdict.preference is not None
    ]


def point_measures(points: Sequence[Judgement], values: Sequence[Points]) -> Metrics:
    """Return what a judge's scores are worth.

    Returns:
        `correlation` (Spearman) and `exact` of the written scores with the true ones,
        `expected_correlation` of the expected ones, the number of `distinct` written scores,
        `unreadable` and `unjudged`.
    """
    read = [
        (value.written, point.score)
        for value, point in zip(values, points, strict=True)
        if value.written is not None and point.score is not None
    ]
    expected = [
        (value.expected, point.score)
        for value, point in zip(values, points, strict=True)
        if value.expected is not None and point.score is not None
    ]
    return known(
        {
            "n": float(len(points)),
            "correlation": correlation(read),
            "expected_correlation": correlation(expected),
            "exact": mean(value == truth for value, truth in read),
            "distinct": float(len({value for value, _ in read})),
            "unreadable": mean(value.written is None for value in values),
            "unjudged": float(sum(bool(value.unjudged) for value in values)),
        }
    )


def scores_against_verdicts(
    pairs: Sequence[Judgement], verdicts: Sequence[Verdict], scores: Sequence[Points]
) -> Metrics:
    """Return how the two scores of a pair's candidates go with its verdict and with the truth.

    Args:
        scores: Of both candidates of each pair, one after the other.
    """
    agree = [
        (a.written > b.written) == (verdict.winner == A)
        for verdict, a, b in zip(verdicts, scores[::2], scores[1::2], strict=True)
        if a.written is not None
        and b.written is not None
        and a.written != b.written
        and verdict.winner
    ]
    return known({"accuracy": mean(_ordered(pairs, scores)), "agreement": mean(agree)})


def correlation(read: Sequence[tuple[float, float]]) -> float | None:
    """Return Spearman's rank correlation; None where one side says the same of all, or of nothing.

    >>> correlation([(1, 2), (5, 3)]), correlation([(1, 2), (1, 3)]), correlation([])
    (1.0, None, None)
    """
    sides = list(zip(*read, strict=True))
    if not sides or any(len(set(side)) < 2 for side in sides):
        return None
    return round(float(spearmanr(*sides).statistic), 12)  # of two pairs it is 0.9999999999999999


def _ordered(pairs: Sequence[Judgement], scores: Sequence[Points]) -> list[bool]:
    """Return of each pair with a winner whether its score is the higher one; equal ones are not."""
    return [
        a.written is not None
        and b.written is not None
        and (a.written > b.written if pair.winner == A else b.written > a.written)
        for pair, a, b in zip(pairs, scores[::2], scores[1::2], strict=True)
        if pair.winner != TIE
    ]
