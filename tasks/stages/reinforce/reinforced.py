"""Adapt the model to the shots: GRPO with verifiable rewards, or fine-tuning."""

from tasks.asking.resolving import folder_of
from tasks.job import Job, Metrics, need
from tasks.questions import Kind, kind_of
from tasks.records.choosing import spread
from tasks.rewards.detection import honest_confidence, overlap_with_true_boxes
from tasks.rewards.facts import grounded_facts
from tasks.rewards.grounding import closeness_to_pointed_box, overlap_with_pointed_box
from tasks.rewards.objects import says_only_what_is_there
from tasks.rewards.reward import Reward
from tasks.rewards.text import exact_final, thinks_then_answers
from tasks.settings import Settings
from tasks.settings.reinforce import Reinforced
from tasks.stages.asked import asked
from tasks.stages.common import coordinates
from tasks.stages.probing import PROBED, probe
from tasks.stages.training import planned, trained
from tasks.training.demonstrations import demonstrations
from tasks.training.grpo import Grpo, enough_questions, grpo_dataset, train_grpo
from tasks.training.sft import Sft, train_sft


def reinforced(settings: Settings, job: Job) -> Metrics:
    """Adapt the model to the shots: GRPO with verifiable rewards, or fine-tuning."""
    s, data = settings.reinforced, job.input("shots")
    model = str(folder_of(s.model, job.root))
    frames = coordinates(settings, model)
    train, dev = (asked(data, split, settings, frames) for split in ("train", "dev"))
    need(train, "there are no examples to learn from", "shots.data")
    kind = kind_of(train[0])
    if s.method == "grpo":  # before the dev questions are asked
        enough_questions(len(train), s.prompts, "reinforced")
    watched = spread(dev, PROBED, lambda sample: (sample.task, sample.label))
    probed = probe(settings, job, "reinforced", model, watched, frames, s.max_new_tokens,
                   reinforces=s.method == "grpo")  # fmt: skip
    batch = s.batch if s.method == "sft" else s.prompts * s.answers
    plan = planned(
        settings,
        job,
        model,
        s.steps,
        batch,
        section="reinforced",
        watched=kind.watched if dev else None,
        evaluate_every=s.look_every if dev else 0,
        patience=s.patience if dev else 0,
        evaluated=max(1, len(dev)),
        look_tokens=s.max_new_tokens,
    )
    if s.method == "sft":
        rows = demonstrations(train, frames, s.thoughts)
        looks = grpo_dataset(dev, frames) if dev else None
        history = train_sft(rows, Sft(learning_rate=s.learning_rate), plan, looks=looks)
    else:
        grpo = Grpo(
            rewards=_rewards(s, kind),
            answers=s.answers,
            learning_rate=s.learning_rate,
            beta=s.beta,
            kl_schedule=s.kl_schedule,
            temperature=s.temperature,
            max_new_tokens=s.max_new_tokens,
            skip_settled=s.skip_settled,
        )
        history = train_grpo(train, grpo, plan, coordinates=frames, dev=dev)
    return probed | trained(job, history, s.steps * batch)


def _rewards(s: Reinforced, kind: Kind) -> tuple[Reward, ...]:
    """Return the rewards of a kind with the weights of the settings, if any; 0 leaves one out."""
    weights = {
        overlap_with_true_boxes: s.overlap_weight,
        honest_confidence: s.confidence_weight,
        thinks_then_answers: s.format_weight,
        overlap_with_pointed_box: s.overlap_weight,
        exact_final: s.class_weight,
    }
    near = (
        {overlap_with_pointed_box: closeness_to_pointed_box} if s.grounding_reward == "giou" else {}
    )
    of_data = {grounded_facts: s.facts_weight, says_only_what_is_there: s.objects_weight}
    return tuple(
        Reward(function=function, weight=weight) for function, weight in of_data.items() if weight
    ) + tuple(
        Reward(function=near.get(reward.function, reward.function), weight=weight)
        for reward in kind.rewards
        if (weight := weights.get(reward.function, reward.weight))
    )
