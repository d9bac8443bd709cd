"""What the stages have in common that teach a judge to think by traces."""

from collections.abc import Sequence
from pathlib import Path

from tasks.job import Job, Metrics
from tasks.questions.verdict import Verdict
from tasks.records.choosing import spread
from tasks.records.judgements import TIE, Judgement, judgement_of, of_style
from tasks.records.rows import read_samples
from tasks.settings import Settings
from tasks.stages.training import planned, trained
from tasks.training.grpo import grpo_dataset
from tasks.training.sft import Sft, Turn, train_sft
from tasks.training.thinker import NO_BOXES, verdict_samples


def pairs_of(folder: Path, split: str) -> list[Judgement]:
    """Return the pairs of a split that have a winner."""
    judgements = [judgement_of(sample) for sample in read_samples(folder, split)]
    return [pair for pair in of_style(judgements, "pair") if pair.winner != TIE]


def watched_pairs(settings: Settings, folder: Path) -> list[Judgement]:
    """Return the dev pairs that every training of the flow looks at."""
    return spread(pairs_of(folder, "dev"), settings.cold_start.looked_at)


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
