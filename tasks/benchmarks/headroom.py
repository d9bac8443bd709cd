"""What reinforcement could elicit: the best of several sampled answers against the greedy one.

GRPO moves probability among answers that a model already gives. Where no sampled answer is better
than the greedy one, or all answers to a question earn the same, there is nothing to move.
"""

from collections.abc import Sequence
from statistics import fmean, pstdev

from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.coordinates import Coordinates
from tasks.benchmarks.perception import score_answer
from tasks.records.rows import Sample

LITTLE = 0.05  # of the score: best-of-G must promise more than this over the greedy answer
MOSTLY = 0.8  # share of questions whose sampled answers all score the same


def headroom(
    asker: Asker,
    samples: Sequence[Sample],
    *,
    coordinates: Coordinates,
    answers: int,
    temperature: float,
    max_new_tokens: int,
    seed: int = 0,
) -> dict[str, float]:
    """Measure on held-out questions what a group of sampled answers holds beyond the greedy one.

    Returns:
        `greedy`, `sampled` (mean) and `best_of` scores in [0, 1], their `headroom` (best minus
        greedy), `zero_variance`, the share of questions whose answers all score the same, and
        `unanswered`, the number of those that could not be asked and count as wrong. Nothing of
        no samples.
    """
    if not samples:
        return {}
    questions = [question(sample.prompt, sample.images) for sample in samples]
    greedy = asker.ask(questions, max_new_tokens=max_new_tokens, title="headroom, greedy")
    drawn = asker.ask(
        questions, max_new_tokens=max_new_tokens, samples=answers, temperature=temperature,
        seed=seed, title="headroom, sampled",
    )  # fmt: skip

    def scores(rows):
        return [
            [score_answer(s, answer, coordinates).value for answer in row]
            for s, row in zip(samples, rows, strict=True)
        ]

    first, groups = scores(greedy), scores(drawn)
    found = {
        "greedy": fmean(group[0] for group in first),
        "sampled": fmean(fmean(group) for group in groups),
        "best_of": fmean(max(group) for group in groups),
        "zero_variance": fmean(pstdev(group) < 1e-6 for group in groups),
        "unanswered": float(sum(bool(group[0].unanswered) for group in drawn)),
    }
    return found | {"headroom": found["best_of"] - found["greedy"]}


def warning(found: dict[str, float]) -> str:
    """Say what speaks against reinforcement; nothing where nothing does.

    >>> warning({"headroom": 0.01, "zero_variance": 0.1, "best_of": 0.9, "greedy": 0.89})
    'best-of-G 0.90 is hardly above the greedy 0.89: there is little to elicit'
    """
    if not found:
        return ""
    told = []
    if found["headroom"] < LITTLE:
        told.append(
            f"best-of-G {found['best_of']:.2f} is hardly above the greedy {found['greedy']:.2f}: "
            "there is little to elicit"
        )
    if found["zero_variance"] > MOSTLY:
        told.append(
            f"{found['zero_variance']:.0%} of the groups score all the same and teach nothing: "
            "raise the temperature, or start from a model that sometimes succeeds"
        )
    return "; ".join(told)
