"""Adapt the model to the shots: GRPO with verifiable rewards, or fine-tuning."""

import json

from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import asking
from tasks.benchmarks.headroom import headroom, warning
from tasks.job import Job, Metrics, need
from tasks.records.choosing import spread
from tasks.records.rows import Sample
from tasks.settings import Settings
from tasks.stages.asked import asked
from tasks.stages.common import coordinates, fitting, model_of, trained
from tasks.training.demonstrations import demonstrations
from tasks.training.methods import enough_questions
from tasks.training.policy import grpo_dataset, train_grpo, train_sft

WATCHED = {
    "final": "exact_final",
    "tagged_detections": "overlap_with_true_boxes",
    "tagged_box": "overlap_with_pointed_box",
}
PROBED = 32  # dev questions of the headroom probe


def reinforced(settings: Settings, job: Job) -> Metrics:
    """Adapt the model to the shots: GRPO with verifiable rewards, or fine-tuning."""
    s, data = settings.reinforced, job.input("shots")
    model = model_of(s.model, job)
    frames = coordinates(settings, model)
    train, dev = (asked(data, split, settings, frames) for split in ("train", "dev"))
    need(train, "there are no examples to learn from", "shots.data")
    metric = train[0].metric
    if s.method == "grpo":  # before the dev questions are asked
        enough_questions(len(train), s.prompts, "reinforced")
    watched = spread(dev, PROBED, lambda sample: (sample.task, sample.label))
    probed = {} if job.check else _probe(watched, model, frames, settings, job)
    common = fitting(settings, job) | {
        "model": model,
        "steps": s.steps,
        "learning_rate": s.learning_rate,
        "watched": WATCHED[metric] if dev else "",
        "evaluate_every": s.look_every if dev else 0,
        "patience": s.patience if dev else 0,
        "evaluated": max(1, len(dev)),
        "look_tokens": s.max_new_tokens,
    }
    if s.method == "sft":
        rows = demonstrations(train, frames, s.thoughts)
        looks = grpo_dataset(dev, frames) if dev else None
        history = train_sft(rows, looks=looks, batch=s.batch, **common)
        answers = s.steps * s.batch
    else:
        history = train_grpo(
            train,
            dev,
            coordinates=frames,
            prompts=s.prompts,
            answers=s.answers,
            beta=s.beta,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            rewards=_weights(settings),
            section="reinforced",
            **common,
        )
        answers = s.steps * s.prompts * s.answers
    return probed | trained(job, history, answers)


def _probe(
    dev: list[Sample], model: str, frames: Coordinates, settings: Settings, job: Job
) -> Metrics:
    s = settings.reinforced
    if not dev:
        return {}
    with asking(model, job.scratch / "probe", settings.device) as asker:
        found = headroom(
            asker,
            dev,
            coordinates=frames,
            answers=s.answers,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            seed=settings.seed,
        )
    told = warning(found)
    print(f"headroom: greedy {found['greedy']:.2f}, best of {s.answers} {found['best_of']:.2f}")
    if told and s.method == "grpo":
        print(f"WARNING: {told}", flush=True)
    (job.out / "headroom.json").write_text(json.dumps(found | {"warning": told}) + "\n")
    return {f"headroom/{name}": value for name, value in found.items()}


def _weights(settings: Settings) -> dict[str, float]:
    s = settings.reinforced
    pointing = {"giou": "closeness_to_pointed_box", "iou": "overlap_with_pointed_box"}
    weights = {
        "overlap_with_true_boxes": s.overlap_weight,
        "honest_confidence": s.confidence_weight,
        "thinks_then_answers": s.format_weight,
        pointing[s.grounding_reward]: s.overlap_weight,
        "exact_final": s.class_weight,
    }
    return {name: weight for name, weight in weights.items() if weight}
