"""Train and ask every judge of the experiment behind UnifiedReward-Think's claims."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction import unified_reward_think as experiment
from tasks.settings import Settings


def unified_reward_think_arms(settings: Settings, job: Job) -> Metrics:
    """Train and ask every judge of the experiment behind UnifiedReward-Think's claims."""
    s = settings.unified_reward_think
    how = {
        "data": str(job.input("thinking_world")), "start": str(job.input("judge_start")),
        "folder": job.scratch, **s.model_dump(),
    }  # fmt: skip
    pilot = experiment.run(experiment.pilots(**how))
    results = experiment.run(experiment.trials(**how))
    found = {"pilot": pilot, "results": results}
    (job.out / "found.json").write_text(json.dumps(found) + "\n")
    return {"arms": float(len(results))}
