"""Train a judge that answers with a number, on the pairs that the other form learns from."""

from tasks.asking.resolving import folder_of
from tasks.job import Job, Metrics, need
from tasks.judging.forms import scalar_judge as opened
from tasks.records.choosing import spread
from tasks.records.judgements import TIE, judgement_of, of_style
from tasks.records.rows import read_samples, write_summary
from tasks.settings import Settings
from tasks.stages.calibrating import calibrated
from tasks.stages.training import planned, trained
from tasks.training.judge import chosen
from tasks.training.scalar_judge import train_scalar_judge


def scalar_judge(settings: Settings, job: Job) -> Metrics:
    """Train a judge that answers with a number, on the pairs that the other form learns from."""
    s, judge = settings.scalar_judge, settings.judge
    if not s.trained:
        write_summary(job.out, judgements=0)
        return {}
    train, dev = (
        [judgement_of(sample) for sample in read_samples(job.input("judgements"), split)]
        for split in ("train", "dev")
    )
    pairs, left = chosen(train, judge.taught_tasks, ["pair"], judge.most_per_task)
    need(pairs, "there are no pairs to learn from", "judge.taught_tasks")
    dev = [j for j in of_style(dev, "pair") if j.task in judge.taught_tasks]
    watched = spread([pair for pair in dev if pair.winner not in ("", TIE)], judge.looked_at)
    plan = planned(
        settings, job, str(folder_of(judge.model, job.root)), s.steps, s.batch,
        section="scalar_judge", evaluate_every=judge.look_every if watched else 0,
        evaluated=max(1, len(watched)), patience=0,
    )  # fmt: skip
    history = train_scalar_judge(pairs, plan, s.learning_rate, dev=watched)
    found: Metrics = {}
    if not job.check:
        with opened(str(job.out), settings.device) as scalar:
            found = calibrated(settings, job, scalar, dev)
    write_summary(job.out, judgements=len(pairs), left_out=left, **found)
    return found | trained(job, history, s.steps * s.batch)
