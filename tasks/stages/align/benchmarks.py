"""Compare what all policies answered to the same held-out questions with what the base did."""

import json

from tasks.benchmarks.comparison import compare_policies
from tasks.job import Job, Metrics
from tasks.records.rows import read_rows, write_summary
from tasks.settings import Settings
from tasks.stages.answering import held_out

POLICIES = ("base", "policy_sft", "policy_dpo", "policy_grpo")


def benchmarks(settings: Settings, job: Job) -> Metrics:
    """Compare what all policies answered to the same held-out questions with what the base did."""
    samples, less = held_out(settings, job.input("intake"))
    scores = {}
    for policy in POLICIES:
        given = {row["id"]: row["score"] for row in read_rows(job.input(f"answers_{policy}"))}
        scores[policy] = [given[sample.id] for sample in samples]
    resamples = settings.benchmarks.resamples
    table = compare_policies(samples, scores, resamples=resamples, seed=settings.seed)
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    write_summary(job.out, fewer=less)
    return {f"{policy}/{row['task']}": row[policy]["mean"] for row in table for policy in POLICIES}
