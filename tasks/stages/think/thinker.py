"""Reinforce verdicts on the pairs that were wrong, both orders of a pair in the same step."""

import json

from tasks.job import Job, Metrics, need
from tasks.questions.verdict import Verdict
from tasks.rewards.reward import Reward
from tasks.rewards.verdicts import consistent_trace
from tasks.settings import Settings
from tasks.stages.pairs import pairs_of, watched_pairs
from tasks.stages.probing import PROBED, probe
from tasks.stages.training import planned, trained
from tasks.training.grpo import Grpo, enough_questions, train_grpo
from tasks.training.thinker import NO_BOXES, verdict_samples


def thinker(settings: Settings, job: Job) -> Metrics:
    """Reinforce verdicts on the pairs that were wrong, both orders of a pair in the same step."""
    s, data = settings.thinker, job.input("traces")
    wanted, longest = settings.traces.dimensions, settings.cold_start.max_new_tokens
    left = set(json.loads((job.input("sampled") / "left.json").read_text()))
    pairs = [pair for pair in pairs_of(data, "train") if pair.id in left]
    need(pairs, "there are no pairs to reinforce", "sampled.most_pairs")
    asked = verdict_samples(pairs, s.direct_share, settings.seed, wanted)
    enough_questions(len(asked), s.prompts, "thinker")
    dev = verdict_samples(watched_pairs(settings, data), 0.0, settings.seed, wanted)
    model = str(job.input("think_sft"))
    found = probe(settings, job, "thinker", model, dev[:PROBED], NO_BOXES, longest)
    plan = planned(
        settings,
        job,
        model,
        s.steps,
        s.prompts * s.answers,
        section="thinker",
        watched=Verdict.watched if dev else None,
        evaluate_every=s.look_every if dev else 0,
        patience=s.patience if dev else 0,
        evaluated=max(1, len(dev)),
        look_tokens=longest,
    )
    agrees = Reward(function=consistent_trace, weight=s.consistency_weight)
    grpo = Grpo(
        rewards=Verdict.rewards + (agrees,) * bool(s.consistency_weight),
        answers=s.answers,
        learning_rate=s.learning_rate,
        beta=s.beta,
        temperature=s.temperature,
        top_p=s.top_p,
        max_new_tokens=longest,
        in_order=True,
    )
    history = train_grpo(asked, grpo, plan, coordinates=NO_BOXES, dev=dev)
    return found | trained(job, history, s.steps * s.prompts * s.answers)
