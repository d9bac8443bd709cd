"""Let the policy answer several times, and the judge rank and score the answers."""

from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.judging.exports import PREFERENCES, preference_row
from tasks.judging.preferences import build_preferences, reasons, report
from tasks.judging.sampling import sample_candidates
from tasks.records.choosing import fewer, spread
from tasks.records.rows import read_samples, write_shards, write_summary
from tasks.rewards.candidates import truly_better
from tasks.settings import Settings
from tasks.stages.common import DESCRIBED


def preferences(settings: Settings, job: Job) -> Metrics:
    """Let the policy answer several times, and the judge rank and score the answers."""
    s, data = settings.preferences, job.input("intake")
    there = read_samples(data, "train", [DESCRIBED])
    need(there, "the data has no pictures to describe (task `tell`)", "data")
    less = fewer("preferences.pictures", s.pictures, len(there))
    samples = spread(there, s.pictures)
    with asking(str(job.input("policy_sft")), job.memory, settings.device) as policy:
        groups = sample_candidates(
            policy,
            samples,
            candidates=s.candidates,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            seed=settings.seed,
        )
    with asking(str(job.input("reward_model")), job.memory, settings.device) as judge:
        built = build_preferences(judge, groups)
    metrics = report(built, truly_better)
    write_shards(map(preference_row, built.kept), job.out, PREFERENCES)
    write_summary(job.out, fewer=less, dropped=reasons(built), **metrics)
    job.cost.add(len(samples), policy.tokens + judge.tokens)
    return metrics
