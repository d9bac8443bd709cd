"""Train and ask every judge of the experiment behind UnifiedReward's claim, with every seed."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction import unified_reward as experiment
from tasks.settings import Settings


def unified_reward_arms(settings: Settings, job: Job) -> Metrics:
    """Train and ask every judge of the experiment behind UnifiedReward's claim, with every seed."""
    trials = experiment.trials(
        data=str(job.input("judging_world")),
        start=str(job.input("judge_start")),
        folder=job.scratch,
        **settings.unified_reward.model_dump(),
    )
    results = experiment.run(trials)
    (job.out / "results.json").write_text(json.dumps(results) + "\n")
    return {"arms": float(len(trials))}
