"""Trains one VLM to judge pairs and to score single answers, and measures it on held-out pairs.

Follows UnifiedReward (arXiv 2503.05236, section 3.1): causal cross-entropy on the verdict text,
both answer styles in one mixture, no scalar head. We differ in one place: the order in which two
answers are shown is drawn at random, where the release relies on its data files to be balanced.
"""

import random
from collections import Counter, defaultdict

from scipy.stats import spearmanr

from models.statistics import known, mean
from tasks.asking.asker import Asker
from tasks.judging.judge import Pair, judge_pairs, score_points
from tasks.prompts import prompt
from tasks.records.choosing import spread
from tasks.records.rows import Sample
from tasks.training.plan import Plan
from tasks.training.sft import Sft, train_sft


def judgements(samples: list[Sample], seed: int) -> list[tuple[str, str, list[bytes]]]:
    """Return (prompt, verdict, pictures) of every judgement; pairs come in a random order.

    Pair samples hold `details.responses` and answer "A" or "B"; point samples answer with a number.
    """
    rng = random.Random(seed)
    rows = []
    for sample in samples:
        question, responses = sample.details["question"], list(sample.details["responses"])
        if len(responses) == 1:
            text = prompt("judge/pointwise", question=question, a=responses[0])
            rows.append((text, sample.answer, sample.images))
            continue
        winner = "AB".index(sample.answer)
        if rng.random() < 0.5:
            responses.reverse()
            winner = 1 - winner
        text = prompt("judge/pairwise", question=question, a=responses[0], b=responses[1])
        rows.append((text, "AB"[winner], sample.images))
    rng.shuffle(rows)
    return rows


def train_reward_model(
    samples: list[Sample], dev: list[Sample], plan: Plan, learning_rate: float
) -> list[dict[str, float]]:
    """Fine-tune on judgement samples; returns the learning curve.

    Args:
        dev: Held-out judgements, for looks in between.
    """
    sft = Sft(learning_rate=learning_rate, warmup_steps=min(10, plan.steps // 5))
    rows, held_out = judgements(samples, plan.seed), judgements(dev, plan.seed)
    return train_sft(rows, sft, plan, dev=held_out)


def measure_reward_model(judge: Asker, samples: list[Sample], per_kind: int) -> dict[str, float]:
    """Judge held-out samples and compare with the truth.

    Returns:
        `pair_accuracy` (both orders averaged), accuracy by margin (the
        difference in mistakes), `swap_consistency`, `unreadable`, `score_pair_accuracy` (pairs told
        apart by their two scores), `score_correlation` (Spearman, scores against mistakes) and
        `unanswered`, the number of questions that could not be asked. What there is too little for
        is left out: an accuracy of no pairs, a correlation of one score or of equal ones.
    """
    pairs = spread([s for s in samples if len(s.details["responses"]) == 2], per_kind)
    asked = [Pair(s.details["question"], s.images, *s.details["responses"]) for s in pairs]
    verdicts = judge_pairs(judge, asked)
    right = [v.winner == s.answer for v, s in zip(verdicts, pairs, strict=True)]
    margins: dict[int, list[bool]] = defaultdict(list)
    for hit, sample in zip(right, pairs, strict=True):
        faults = sample.details.get("faults")
        if isinstance(faults, list) and [type(n) for n in faults] == [int, int]:
            margins[abs(faults[0] - faults[1])].append(hit)
    both = [
        (s.details["question"], s.images, text) for s in pairs for text in s.details["responses"]
    ]
    scored = score_points(judge, both, title="scoring both answers")
    ordered = [
        a is not None and b is not None and (a > b if s.answer == "A" else b > a)
        for s, a, b in zip(pairs, scored[::2], scored[1::2], strict=True)
    ]
    points = spread([s for s in samples if len(s.details["responses"]) == 1], per_kind)
    values = score_points(
        judge, [(s.details["question"], s.images, s.details["responses"][0]) for s in points]
    )
    read = [
        (value, float(s.answer))
        for value, s in zip(values, points, strict=True)
        if value is not None
    ]
    unreadable = [not v.readable for v in verdicts] + [v is None for v in values]
    metrics = known(
        {
            "pair_accuracy": mean(right),
            "pairs": float(len(pairs)),
            "pair_majority": _majority([s.answer for s in pairs]),
            "swap_consistency": mean(v.consistent for v in verdicts),
            "unreadable": mean(unreadable),
            "unanswered": float(len(judge.unanswered)),
            "score_pair_accuracy": mean(ordered),
            "score_correlation": correlation(read),
            "score_exact": mean(value == truth for value, truth in read),
            "scores": float(len(points)),
        }
    )
    for margin, hits in sorted(margins.items()):
        metrics[f"pair_accuracy_margin_{margin}"] = sum(hits) / len(hits)
        metrics[f"pairs_margin_{margin}"] = float(len(hits))
    return metrics


def correlation(read: list[tuple[float, float]]) -> float | None:
    """Return Spearman's rank correlation; None where one side says the same of all, or of nothing.

    >>> correlation([(1, 2), (5, 3)]), correlation([(1, 2), (1, 3)]), correlation([])
    (1.0, None, None)
    """
    sides = list(zip(*read, strict=True))
    if not sides or any(len(set(side)) < 2 for side in sides):
        return None
    return round(float(spearmanr(*sides).statistic), 12)  # of two pairs it is 0.9999999999999999


def _majority(answers: list[str]) -> float | None:
    return max(Counter(answers).values()) / len(answers) if answers else None
