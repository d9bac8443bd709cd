"""Run the experiment behind Visual-RFT's claim: every arm, every seed, one table."""

from tasks.asking.coordinates import Coordinates
from tasks.job import Job, Metrics
from tasks.reproduction import visual_rft as experiment
from tasks.reproduction.visual_rft_report import write_experiment
from tasks.settings import Settings


def visual_rft(settings: Settings, job: Job) -> Metrics:
    """Run the experiment behind Visual-RFT's claim: every arm, every seed, one table."""
    s = settings.visual_rft
    jobs = experiment.jobs(
        data=str(job.input("few_shot_world")),
        others=str(job.root / "data"),
        start=str(job.input("habits")),
        folder=job.scratch,
        coordinates=Coordinates(100),
        **s.model_dump(exclude={"processes"}),
    )
    results = experiment.run(jobs, s.processes)
    return write_experiment(job.out, results, job.run_id, settings.benchmarks.resamples)
