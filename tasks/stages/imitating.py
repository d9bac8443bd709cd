"""What the stages have in common that teach a judge to think by traces."""

from collections.abc import Sequence
from pathlib import Path

from tasks.job import Job, Metrics
from tasks.questions.verdict import Verdict
from tasks.settings import Settings
from tasks.stages.pairs import watched_pairs
from tasks.stages.training import planned, trained
from tasks.training.grpo import grpo_dataset
from tasks.training.sft import Sft, Turn, train_sft
from tasks.training.thinker import NO_BOXES, verdict_samples


def imitated(
    settings: Settings, job: Job, section: str, model: str, rows: Sequence[Turn], pairs: Path
) -> Metrics:
    """Fine-tune on traces, and keep the look with the most right verdicts on dev pairs.

    Args:
        section: Of the settings, with the steps, the batch, the rate and the looks.
        model: Folder to start from.
        pairs: Folder of the pairs.
    """
    s = getattr(settings, section)
    dev = verdict_samples(watched_pairs(settings, pairs), 0.0, settings.seed,
                          settings.traces.dimensions)  # fmt: skip
    plan = planned(
        settings,
        job,
        model,
        s.steps,
        s.batch,
        section=section,
        watched=Verdict.watched if dev else None,
        evaluate_every=s.look_every if dev else 0,
        patience=s.patience if dev else 0,
        evaluated=max(1, len(dev)),
        look_tokens=settings.cold_start.max_new_tokens,
    )
    looks = grpo_dataset(dev, NO_BOXES) if dev else None
    history = train_sft(rows, Sft(learning_rate=s.learning_rate), plan, looks=looks)
    return trained(job, history, s.steps * s.batch)
