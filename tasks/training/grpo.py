"""Reinforcement with rewards that a computer can verify, through TRL's GRPOTrainer.

GRPO follows Visual-RFT (arXiv 2503.01785): original GRPO loss, KL weight 0.04, group-scaled
advantages, strictly on-policy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedModel
from trl import GRPOConfig

from models.prefix.rollouts import GroupedGRPOTrainer, shared_rollouts
from models.prefix.shared import can_share_prefix
from tasks.asking.coordinates import Coordinates
from tasks.questions import kind_of
from tasks.records.boxes import Frame, boxes_from
from tasks.records.rows import PICTURES, Sample
from tasks.rewards.objects import listed_names
from tasks.rewards.reward import Reward
from tasks.running.errors import UserError
from tasks.training.conversations import MESSAGES, pictures, user_turn
from tasks.training.fitting import fit
from tasks.training.kl_schedule import KlSchedule
from tasks.training.objective import Objective, configured
from tasks.training.plan import Plan
from tasks.training.rollouts import Rollouts
from tasks.training.settled import SkipSettled
from tasks.training.witness import POLICY, START, Witnessed

# the papers' GRPO; TRL's defaults differ in each of these
PAPER_GRPO = {
    "loss_type": "grpo",
    "scale_rewards": "group",
    "num_iterations": 1,
    "use_bias_correction_kl": False,
    "top_k": 0,
}
NUMBERS = List(Value("float32"))


class Grpo(Objective):
    """Group-relative policy optimisation, at a constant rate after some steps.

    Attributes:
        rewards: What an answer is paid for; one that does not apply to a question is None there.
        answers: Sampled per question (the group).
        beta: Weight of the KL leash to the starting model.
        max_new_tokens: Longest answer.
        top_p: Of the distribution, what is sampled from; 1 for all of it.
        skip_settled: Ask other questions in place of those that were all right or all wrong.
        in_order: Ask the questions in the order of the data, over and over, and not shuffled.
        witness: Who replies to captions for the rewards (`tasks.training.witness`): `policy`,
            `start`, a model or an address; nobody without it.
        kl_schedule: `cosine` lets go of the leash by half a cosine (see `kl_weight`).
    """

    watches: ClassVar[tuple[str, Literal["min", "max"]]] = ("val/reward", "max")

    rewards: tuple[Reward, ...]
    answers: int
    beta: float
    temperature: float
    max_new_tokens: int
    top_p: float = 1.0
    skip_settled: bool = False
    in_order: bool = False
    witness: str = ""
    kl_schedule: Literal["constant", "cosine"] = "constant"

    @property
    def room(self) -> int:
        """Tokens that an answer may take."""
        return self.max_new_tokens

    def build(
        self, plan: Plan, network: PreTrainedModel, common: dict[str, Any], parts: dict[str, Any]
    ) -> GroupedGRPOTrainer:
        """Build TRL's trainer, whose answers share their prompts where the family is supported."""
        enough_questions(len(parts["train_dataset"]), plan.batch // self.answers, plan.section)
        shareable = can_share_prefix(network)
        if self.witness in (POLICY, START) and not shareable:
            raise UserError(
                "This model cannot be its own witness",
                "replies are written with shared beginnings, which its family does not support",
                "name another model or a server as the witness, or train a Qwen2.5-VL or Qwen3-VL",
            )
        share = plan.vllm == "none" and shareable
        config = configured(
            GRPOConfig,
            **common,
            **PAPER_GRPO,
            **_vllm(plan),
            num_generations=self.answers,
            max_completion_length=self.max_new_tokens,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=min(5, plan.steps // 2),
            temperature=self.temperature,
            top_p=self.top_p,
            beta=self.beta,
            shuffle_dataset=not self.in_order,
            # a generation batch of whole groups in every process
            steps_per_generation=plan.accumulate,
            reward_weights=[reward.weight for reward in self.rewards],
        )
        return GroupedGRPOTrainer(
            network,
            [reward.function for reward in self.rewards],
            config,
            rollout_func=shared_rollouts if share else None,
            **parts,
        )

    def callbacks(self, plan: Plan) -> list[L.Callback]:
        """Keep some answers, and the record of questions; ask a witness, set the KL weight."""
        wanted: list[L.Callback] = [Rollouts(plan, self.rewards)]
        if self.skip_settled:
            wanted.append(SkipSettled(plan))
        if self.witness:
            wanted.append(Witnessed(self.witness, plan))
        if self.kl_schedule == "cosine":
            wanted.append(KlSchedule(self.beta, plan.steps))
        return wanted

    def finish(self, callbacks: list[L.Callback], out: Path) -> None:
        """Write the answers that were kept."""
        for kept in callbacks:
            if isinstance(kept, Rollouts):
                kept.write(out)


def train_grpo(
    samples: Sequence[Sample],
    grpo: Grpo,
    plan: Plan,
    *,
    coordinates: Coordinates,
    dev: Sequence[Sample] = (),
) -> list[dict[str, float]]:
    """Reinforce with verifiable rewards; returns the learning curve.

    Args:
        coordinates: What the model writes; true boxes are converted to it here.
        dev: Held-out samples, for looks in between.

    Raises:
        UserError: There are fewer questions than a step asks.
    """
    enough_questions(len(samples), plan.batch // grpo.answers, plan.section)
    held_out = grpo_dataset(dev, coordinates) if dev else None
    return fit(grpo, plan, grpo_dataset(samples, coordinates), held_out)


def enough_questions(there: int, prompts: int, section: str) -> None:
    """Check that a step of GRPO can be taken.

    Raises:
        UserError: There are fewer questions than a step asks.
    """
    if there < prompts:
        setting = f"`{section}.prompts`" if section else "the questions per step (`prompts`)"
        raise UserError(
            f"There are {there} questions, and a step asks {prompts}",
            "a step asks different questions, so no step could be taken",
            f"lower {setting}, or give more data",
        )


def grpo_dataset(samples: Sequence[Sample], coordinates: Coordinates) -> Dataset:
    """Return prompts with the columns that the rewards of their kinds read.

    A column that is not of a question's kind is None, and so is a reward that reads it.
    """
    features = {
        "prompt": MESSAGES,
        "images": PICTURES,
        "number": Value("int32"),
        "metric": Value("string"),
        "frame": NUMBERS,
        "corners": List(NUMBERS),
        "reference": Value("string"),
        "texts": List({"text": Value("string"), "corners": NUMBERS}),
        "there": List(Value("string")),
        "names": Value("string"),
    }
    for sample in samples:
        features |= kind_of(sample).features
    rows = [
        _row(sample, coordinates.frame(sample.size)) | {"number": number}
        for number, sample in enumerate(samples)
    ]
    none = dict.fromkeys(features)
    return Dataset.from_list([none | row for row in rows], features=Features(features))


def _row(sample: Sample, frame: Frame) -> dict[str, Any]:
    converted = [box.to(frame) for box in sample.boxes]
    corners = [[box.x0, box.y0, box.x1, box.y1] for box in converted]
    return {
        "prompt": user_turn(sample.prompt),
        "images": pictures(sample.images),
        "metric": sample.metric,
        "frame": list(frame),
        "corners": corners,
        "reference": sample.final or sample.answer,
        "texts": _texts(sample, frame),
        "there": sample.details.get("objects") or [],
        "names": listed_names(sample.details),
    } | kind_of(sample).columns(sample, corners)


def _texts(sample: Sample, frame: Frame) -> list[dict[str, Any]]:
    """Return what stands in a picture, as far as the data knows it."""
    known = sample.details.get("texts") or []
    boxes = boxes_from([corners for _, corners in known], sample.size)
    there = zip((str(text) for text, _ in known), (box.to(frame) for box in boxes), strict=True)
    return [{"text": text, "corners": [b.x0, b.y0, b.x1, b.y1]} for text, b in there]


def _vllm(plan: Plan) -> dict[str, Any]:
    if plan.vllm == "none":
        return {}
    chosen: dict[str, Any] = {"use_vllm": True, "vllm_mode": plan.vllm}
    return chosen | ({"vllm_server_base_url": plan.vllm_server} if plan.vllm == "server" else {})
