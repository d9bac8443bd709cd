"""Let the policy answer several times, and the judge rank and score the answers."""

from datasets import Features, Value

from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.judging.preferences import build_preferences, sample_candidates
from tasks.records.choosing import fewer, spread
from tasks.records.rows import PICTURES, TEXT, read_samples, sample_row, write_shards, write_summary
from tasks.settings import Settings
from tasks.stages.common import DESCRIBED

PREFERENCES = Features(
    {
        "id": TEXT, "prompt": TEXT, "images": PICTURES, "chosen": TEXT, "rejected": TEXT,
        "chosen_score": Value("float32"), "rejected_score": Value("float32"), "reference": TEXT,
    }
)  # fmt: skip


def preferences(settings: Settings, job: Job) -> Metrics:
    """Let the policy answer several times, and the judge rank and score the answers."""
    s, data = settings.preferences, job.input("intake")
    there = read_samples(data, "train", [DESCRIBED])
    need(there, "the data has no pictures to describe (task `tell`)", "data")
    less = fewer("preferences.pictures", s.pictures, len(there))
    samples = spread(there, s.pictures)
    with asking(str(job.input("policy_sft")), job.memory, settings.device) as policy:
        answers = sample_candidates(
            policy,
            samples,
            candidates=s.candidates,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            seed=settings.seed,
        )
    with asking(str(job.input("reward_model")), job.memory, settings.device) as judge:
        kept, metrics = build_preferences(judge, samples, answers)
    rows = [
        {
            "id": p.sample.id,
            "prompt": p.sample.prompt,
            "images": sample_row(p.sample)["images"],
            "chosen": p.chosen,
            "rejected": p.rejected,
            "chosen_score": p.chosen_score,
            "rejected_score": p.rejected_score,
            "reference": p.sample.answer,
        }
        for p in kept
    ]
    write_shards(rows, job.out, PREFERENCES)
    write_summary(job.out, fewer=less, **metrics)
    job.cost.add(len(samples), policy.tokens + judge.tokens)
    return metrics
