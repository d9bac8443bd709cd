"""Ask every policy the same held-out questions and compare them with the base."""

import json

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.benchmarks.comparison import compare_policies
from tasks.benchmarks.perception import SCORES, benchmark, score_row
from tasks.job import Job, Metrics, need
from tasks.questions import kind_of
from tasks.records.choosing import fewer_of_each, of_each
from tasks.records.rows import read_samples, write_shards, write_summary
from tasks.settings import Settings
from tasks.stages.common import coordinates

POLICIES = ("base", "policy_sft", "policy_dpo", "policy_grpo")


def benchmarks(settings: Settings, job: Job) -> Metrics:
    """Ask every policy the same held-out questions and compare them with the base."""
    s, data = settings.benchmarks, job.input("intake")
    there = [x for x in read_samples(data, "test") if not kind_of(x).judged]
    need(there, "the data has no held-out questions (split `test`)", "data")
    less = fewer_of_each("benchmarks.per_task", s.per_task, there)
    samples = of_each(there, s.per_task)
    results, unanswered = {}, {}
    for policy in POLICIES:
        folder = (
            str(folder_of(settings.model, job.root)) if policy == "base" else str(job.input(policy))
        )
        frames = coordinates(settings, folder)
        title = f"benchmarking {policy}"
        with asking(folder, job.scratch / policy, settings.device) as asker:
            results[policy] = benchmark(asker, samples, frames, s.max_new_tokens, title)
        job.cost.add(len(samples), asker.tokens)
        unanswered[f"{policy}/unanswered"] = float(len(asker.unanswered))
        rows = [score_row(x, *r) for x, r in zip(samples, results[policy], strict=True)]
        write_shards(rows, job.out / policy, SCORES)
    table = compare_policies(samples, results, resamples=s.resamples, seed=settings.seed)
    (job.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    write_summary(job.out, fewer=less)
    means = {f"{policy}/{row['task']}": row[policy]["mean"] for row in table for policy in POLICIES}
    return means | unanswered
