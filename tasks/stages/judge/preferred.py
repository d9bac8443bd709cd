"""Let the judge rank and sift candidates into preference pairs."""

from functools import partial

from tasks.asking.resolving import to_ask
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.judging.candidates import Candidates
from tasks.judging.exports import PREFERENCES, preference_row, write_diffusion_pairs
from tasks.judging.preferences import build_preferences, reasons, report
from tasks.judging.sampling import sample_candidates
from tasks.judging.thinking import reasoned_verdicts
from tasks.judging.trust import need_trust
from tasks.reading.candidates import has_candidates, read_candidates
from tasks.reading.dataset import read_dataset
from tasks.records.choosing import fewer, spread
from tasks.records.rows import (
    REJECTED,
    read_samples,
    write_shards,
    write_summary,
    write_table,
)
from tasks.rewards.candidates import truly_better
from tasks.running.tracking import dvc_hashes
from tasks.settings import Settings


def preferred(settings: Settings, job: Job) -> Metrics:
    """Let the judge rank and sift candidates into preference pairs."""
    s = settings.preferred
    model = to_ask(s.judge, job.root)
    below = need_trust(model, s.judge, s.below_bar, "preferred.below_bar")
    if has_candidates(job.root / s.data):
        groups, aside = read_candidates(job.root / s.data, s.groups)
        less = fewer("preferred.groups", s.groups, len(groups))
    else:
        groups, less = _of_policy(settings, job)
        aside = []
    need(groups, "there are no candidates", "preferred.data")
    with asking(model, job.memory, settings.device) as judge:
        built = build_preferences(
            None if s.construction == "random" else judge, groups, s.construction,
            max_new_tokens=settings.judge.max_new_tokens, seed=settings.seed,
            verdicts=partial(
                reasoned_verdicts, max_new_tokens=s.trace_tokens, title="thinking about pairs"
            ) if s.mode == "think" else None,
        )  # fmt: skip
    job.cost.add(len(groups), judge.tokens)
    version = f"{s.judge} {dvc_hashes(job.root).get(s.judge, '')}".strip()
    rows = (preference_row(p, version, settings.seed) for p in built.kept)
    write_shards(rows, job.out, PREFERENCES)
    write_diffusion_pairs(built.kept, job.out / "diffusion_dpo")
    dropped = [{"id": g.id, "reason": why, "source": "candidates"} for g, why in built.dropped]
    write_table(dropped + aside, job.out / "rejected.parquet", REJECTED)
    metrics = report(built, truly_better)
    write_summary(job.out, fewer=less, dropped=reasons(built), judge_below_bar=below, **metrics)
    return metrics


def _of_policy(settings: Settings, job: Job) -> tuple[list[Candidates], dict]:
    s = settings.preferred
    read_dataset(
        job.root / s.data, job.scratch / "read",
        set_aside=job.root / ".runtime" / "set_aside" / "preferred", max_rejected_share=1.0,
        wanted=lambda sample: sample.task == s.task, section="preferred",
    )  # fmt: skip
    there = read_samples(job.scratch / "read", "train")
    need(there, f"the data has no training questions of kind {s.task}", "preferred.task")
    less = fewer("preferred.groups", s.groups, len(there))
    with asking(to_ask(s.policy, job.root), job.memory, settings.device) as policy:
        groups = sample_candidates(
            policy, spread(there, s.groups), candidates=s.candidates_each,
            temperature=s.temperature, max_new_tokens=s.max_new_tokens, seed=settings.seed,
        )  # fmt: skip
    job.cost.add(len(groups), policy.tokens)
    return groups, less
