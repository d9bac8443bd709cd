"""Train and ask every judge of the experiment behind UnifiedReward's claim, with every seed."""

import json

from tasks.job import Job, Metrics
from tasks.reproduction import preference_pairs
from tasks.reproduction import unified_reward as experiment
from tasks.settings import Settings


def unified_reward_arms(settings: Settings, job: Job) -> Metrics:
    """Train and ask every judge of the experiment behind UnifiedReward's claim, with every seed."""
    s = settings.unified_reward
    how = {
        "data": str(job.input("judging_world")), "start": str(job.input("base")),
        "folder": job.scratch, **s.judges.model_dump(exclude={"pilot_steps"}),
    }  # fmt: skip
    results = experiment.run(experiment.pilots(s.judges.pilot_steps, **how))
    reached = experiment.reached(results)
    judges = experiment.trials(**how) if reached else []
    if not reached:
        print("a joint judge with plenty of judgements does not learn every task: scarce ones would"
              " say nothing, and are not trained", flush=True)  # fmt: skip
    pairs = preference_pairs.trials(
        data=str(job.root / "data"),
        policy=str(job.input("base")),
        judge=str(job.input("base")),
        folder=job.scratch,
        **s.pairs.model_dump(),
    )
    results += experiment.run(judges) + preference_pairs.run(pairs)
    (job.out / "results.json").write_text(json.dumps(results) + "\n")
    return {"arms": float(len(judges) + len(pairs)), "regime_reached": float(reached)}
