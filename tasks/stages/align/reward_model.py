"""Train the judge and measure it on held-out judgements."""

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.benchmarks.judging import measure_judge
from tasks.job import Job, Metrics
from tasks.records.choosing import fewer_of_each, spread
from tasks.records.rows import write_summary
from tasks.settings import Settings
from tasks.stages.needs import judgements_of
from tasks.stages.training import fewer_looks, planned, write_history
from tasks.training.judge import train_judge


def reward_model(settings: Settings, job: Job) -> Metrics:
    """Train the judge and measure it on held-out judgements."""
    s, data = settings.reward_model, job.input("intake")
    judged, test = judgements_of(data, "train"), judgements_of(data, "test")
    watching = bool(settings.trainer.evaluate_every)
    dev = judgements_of(data, "dev") if watching else []
    less = fewer_looks(settings, dev) | fewer_of_each(
        "reward_model.judged", s.judged, test, lambda j: j.style
    )
    history = train_judge(
        judged,
        planned(settings, job, str(folder_of(settings.model, job.root)), s.steps, s.batch),
        s.learning_rate,
        dev=spread(dev, settings.trainer.evaluated),
    )
    with asking(str(job.out), job.memory, settings.device) as judge:
        metrics = measure_judge(judge, test, s.judged)
    write_history(job, history, s.steps * s.batch)
    job.cost.add(2 * s.judged, judge.tokens)
    write_summary(job.out, judgements=len(judged), fewer=less, **metrics)
    return metrics
