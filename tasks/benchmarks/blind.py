"""What questions give away without their pictures: is there a way around looking at all?

CapRL (arXiv 2509.22647) drops the questions that a model answers blindly; here that is a choice,
and the table comes first.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from models.statistics import mean
from tasks.asking.answers import tagged_answer
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.records.rows import Sample
from tasks.rewards.typed import worth_by_type


def right_blindly(
    asker: Asker, samples: Sequence[Sample], answers: int, seed: int, max_new_tokens: int
) -> list[float]:
    """Return the share of right answers to each question without its pictures, in [0, 1]."""
    asked = [question(sample.prompt) for sample in samples]
    replies = asker.ask(
        asked, max_new_tokens=max_new_tokens, samples=answers, temperature=1.0, seed=seed,
        title="asking without pictures",
    )  # fmt: skip
    return [
        mean(worth_by_type(tagged_answer(one.text) or "", sample.final,
                           str(sample.details.get("problem_type") or "")) == 1 for one in some)
        or 0.0
        for sample, some in zip(samples, replies, strict=True)
    ]  # fmt: skip


def blind_table(samples: Sequence[Sample], blind: Sequence[float]) -> dict[str, dict[str, float]]:
    """Return of each task what is right blindly, and by always giving the commonest answer."""
    by_task: dict[str, list[tuple[Sample, float]]] = defaultdict(list)
    for sample, share in zip(samples, blind, strict=True):
        by_task[sample.task].append((sample, share))
    return {
        task: {
            "n": float(len(some)),
            "right_blindly": mean(share for _, share in some) or 0.0,
            "always_right": mean(share == 1 for _, share in some) or 0.0,
            "commonest": Counter(s.final for s, _ in some).most_common(1)[0][1] / len(some),
        }
        for task, some in sorted(by_task.items())
    }
