"""Train the judge, keep its best look, calibrate it and hold it against its bars."""

from tasks.asking.resolving import folder_of
from tasks.asking.turns import asking
from tasks.job import Job, Metrics, need
from tasks.judging.forms import WrittenJudge
from tasks.judging.verdicts import right_winner
from tasks.records.choosing import fewer, spread
from tasks.records.judgements import TIE, judgement_of, of_style
from tasks.records.rows import read_samples, write_summary
from tasks.settings import Settings
from tasks.stages.calibrating import calibrated
from tasks.stages.training import planned, trained
from tasks.training.judge import chosen, train_judge


def judge(settings: Settings, job: Job) -> Metrics:
    """Train the judge, keep its best look, calibrate it and hold it against its bars."""
    s = settings.judge
    train, dev = (
        [judgement_of(sample) for sample in read_samples(job.input("judgements"), split)]
        for split in ("train", "dev")
    )
    taught, left = chosen(train, s.taught_tasks, s.styles, s.most_per_task)
    need(taught, "there are no judgements to learn from", "judge.taught_tasks")
    dev = [j for j in dev if j.task in s.taught_tasks]
    watched = spread([p for p in of_style(dev, "pair") if p.winner not in ("", TIE)], s.looked_at)
    less = fewer("judge.looked_at", s.looked_at, len(watched))
    plan = planned(
        settings,
        job,
        str(folder_of(s.model, job.root)),
        s.steps,
        s.batch,
        section="judge",
        watched=right_winner if watched else None,
        evaluate_every=s.look_every if watched else 0,
        patience=s.patience if watched else 0,
        evaluated=max(1, 2 * len(watched)),
        look_tokens=s.max_new_tokens,
    )
    history = train_judge(taught, plan, s.learning_rate, dev=watched)
    found: Metrics = {}
    if not job.check:
        with asking(str(job.out), job.memory, settings.device) as asker:
            found = calibrated(settings, job, WrittenJudge(asker, s.max_new_tokens), dev)
        job.cost.add(0, asker.tokens)
    write_summary(job.out, judgements=len(taught), left_out=left, fewer=less, **found)
    return found | trained(job, history, s.steps * s.batch)
