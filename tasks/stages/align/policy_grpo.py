"""Reinforce the DPO policy with rewards that can be computed."""

from tasks.job import Job, Metrics, need
from tasks.records.choosing import spread, task_of
from tasks.records.rows import read_samples, write_summary
from tasks.settings import Settings
from tasks.stages.common import coordinates, fitting, trained
from tasks.stages.looks import Overrides, fewer_looks, with_looks
from tasks.stages.needs import missing_kinds, verifiable
from tasks.training.policy import train_grpo


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
    history = train_grpo(
        samples,
        spread(dev, settings.trainer.evaluated),
        section="policy_grpo",
        model=str(job.input("policy_dpo")),
        coordinates=coordinates(settings, str(job.input("policy_dpo"))),
        steps=s.steps,
        prompts=s.prompts,
        answers=s.answers,
        learning_rate=s.learning_rate,
        beta=s.beta,
        temperature=s.temperature,
        max_new_tokens=s.max_new_tokens,
        **fitting(settings, job) | looks,
    )
    write_summary(job.out, fewer=less | absent)
    return trained(job, history, s.steps * s.prompts * s.answers)
