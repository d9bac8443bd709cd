"""Reinforce the DPO policy with rewards that can be computed."""

from tasks.job import Job, Metrics, need
from tasks.questions import rewards_of
from tasks.records.choosing import spread, task_of
from tasks.records.rows import read_samples, write_summary
from tasks.settings import Settings
from tasks.stages.common import coordinates
from tasks.stages.needs import missing_kinds, verifiable
from tasks.stages.training import Overrides, fewer_looks, planned, trained, with_looks
from tasks.training.grpo import Grpo, train_grpo


def policy_grpo(settings: Settings, job: Job) -> Metrics:
    """Reinforce the DPO policy with rewards that can be computed."""
    s, data = settings.policy_grpo, job.input("intake")
    samples = verifiable(read_samples(data, "train", s.tasks))
    need(samples, "the data has no verifiable questions for `policy_grpo.tasks`", "data")
    dev = verifiable(read_samples(data, "dev", s.tasks))
    absent, looks = missing_kinds(samples, s.tasks), Overrides()
    if dev:
        less = fewer_looks(settings, dev)
    else:
        samples, dev, looks, less = with_looks(settings, samples, task_of)
    model, batch = str(job.input("policy_dpo")), s.prompts * s.answers
    grpo = Grpo(
        rewards=rewards_of(samples),
        answers=s.answers,
        learning_rate=s.learning_rate,
        beta=s.beta,
        kl_schedule=s.kl_schedule,
        temperature=s.temperature,
        max_new_tokens=s.max_new_tokens,
        skip_settled=s.skip_settled,
    )
    history = train_grpo(
        samples,
        grpo,
        planned(settings, job, model, s.steps, batch, section="policy_grpo", **looks),
        coordinates=coordinates(settings, model),
        dev=spread(dev, settings.trainer.evaluated),
    )
    write_summary(job.out, fewer=less | absent)
    return trained(job, history, s.steps * s.prompts * s.answers)
