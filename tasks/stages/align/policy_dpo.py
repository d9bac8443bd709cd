"""Optimise the fine-tuned policy on the preference pairs."""

from tasks.job import Job, Metrics, need
from tasks.records.rows import read_rows, write_summary
from tasks.settings import Settings
from tasks.stages.training import planned, trained, with_looks
from tasks.training.dpo import Dpo, train_dpo


def policy_dpo(settings: Settings, job: Job) -> Metrics:
    """Optimise the fine-tuned policy on the preference pairs."""
    s = settings.policy_dpo
    pairs = [
        row | {"images": [image["bytes"] for image in row["images"]]}
        for row in read_rows(job.input("preferences"))
    ]
    need(pairs, "no preference pair was kept", "preferences.pictures")
    rows, dev, looks, less = with_looks(settings, pairs, lambda row: "pair")
    history = train_dpo(
        rows,
        Dpo(learning_rate=s.learning_rate, beta=s.beta),
        planned(settings, job, str(job.input("policy_sft")), s.steps, s.batch, **looks),
        dev=dev,
    )
    write_summary(job.out, fewer=less)
    return trained(job, history, s.steps * s.batch)
