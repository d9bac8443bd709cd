"""Train and ask every judge of the experiment behind UnifiedReward's claim, with every seed."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction import preference_pairs
from tasks.reproduction import unified_reward as experiment
from tasks.settings import Settings


def unified_reward_arms(settings: Settings, job: Job) -> Metrics:
    """Train and ask every judge of the experiment behind UnifiedReward's claim, with every seed."""
    s = settings.unified_reward
    judges = experiment.trials(
        data=str(job.input("judging_world")),
        start=str(job.input("base")),
        folder=job.scratch,
        **s.judges.model_dump(),
    )
    pairs = preference_pairs.trials(
        data=str(job.root / "data"),
        policy=str(job.input("base")),
        judge=str(job.input("base")),
        folder=job.scratch,
        **s.pairs.model_dump(),
    )
    results = experiment.run(judges) + preference_pairs.run(pairs)
    (job.out / "results.json").write_text(json.dumps(results) + "\n")
    return {"arms": float(len(judges) + len(pairs))}
