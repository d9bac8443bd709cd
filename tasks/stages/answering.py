"""What the stages have in common that ask a policy the chain's held-out questions."""

from pathlib import Path

from tasks.asking.turns import asking
from tasks.benchmarks.perception import SCORES, benchmark, score_row
from tasks.job import Job, Metrics, need
from tasks.questions import kind_of
from tasks.records.choosing import Fewer, fewer_of_each, of_each
from tasks.records.rows import Sample, read_samples, write_shards
from tasks.settings import Settings
from tasks.stages.common import coordinates


def held_out(settings: Settings, data: Path) -> tuple[list[Sample], Fewer]:
    """Return the questions that every policy is asked, the same of each kind; and what is missing.

    Raises:
        UserError: The data has none.
    """
    wanted = settings.benchmarks.per_task
    there = [sample for sample in read_samples(data, "test") if not kind_of(sample).judged]
    need(there, "the data has no held-out questions (split `test`)", "data")
    return of_each(there, wanted), fewer_of_each("benchmarks.per_task", wanted, there)


def answered(settings: Settings, job: Job, model: Path) -> Metrics:
    """Ask one policy the held-out questions; write each answer with its score, boxes and reason.

    Args:
        model: The policy's folder.

    Returns:
        The mean score, and how many questions could not be asked; they count as wrong.
    """
    samples, _ = held_out(settings, job.input("intake"))
    frames, tokens = coordinates(settings, str(model)), settings.benchmarks.max_new_tokens
    with asking(str(model), job.memory, settings.device) as asker:
        results = benchmark(asker, samples, frames, tokens, "answering held-out questions")
    job.cost.add(len(samples), asker.tokens)
    rows = [score_row(sample, *result) for sample, result in zip(samples, results, strict=True)]
    write_shards(rows, job.out, SCORES)
    return {
        "score": sum(row["score"] for row in rows) / len(rows),
        "unanswered": float(len(asker.unanswered)),
    }
