"""Fine-tune the model on what synthesis kept."""

from typing import Any

from tasks.asking.resolving import folder_of
from tasks.job import Job, Metrics, need
from tasks.records.rows import read_rows, write_summary
from tasks.settings import Settings
from tasks.stages.training import planned, trained, with_looks
from tasks.training.sft import Sft, train_sft


def policy_sft(settings: Settings, job: Job) -> Metrics:
    """Fine-tune the model on what synthesis kept."""
    s = settings.policy_sft
    made = need(
        list(read_rows(job.input("synthesis"))),
        "synthesis kept nothing to fine-tune on", "synthesis.attempts",
    )  # fmt: skip
    rows, dev, looks, less = with_looks(settings, made, lambda row: row["kind"])
    history = train_sft(
        [_turn(row) for row in rows],
        Sft(learning_rate=s.learning_rate),
        planned(settings, job, str(folder_of(settings.model, job.root)), s.steps, s.batch, **looks),
        dev=[_turn(row) for row in dev],
    )
    write_summary(job.out, fewer=less)
    return trained(job, history, s.steps * s.batch)


def _turn(row: dict[str, Any]) -> tuple[str, str, list[bytes]]:
    return row["prompt"], row["answer"], [image["bytes"] for image in row["images"]]
