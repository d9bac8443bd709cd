"""Trains a retriever of pages with merging on, by sentence-transformers' own trainer.

Follows Light-ColPali (arXiv 2506.04997; specification, section 3): the loss of the retriever that
it starts from, computed with merged pages; the groups are decided without a gradient. Questions are
never merged. The step with the best nDCG@5 of held-out questions is kept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset, Features, Image, Value
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.trainer import _OptimizerZeroGradCallback
from sentence_transformers.multi_vector_encoder.losses import (
    MultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores
from sentence_transformers.multi_vector_encoder.trainer import MultiVectorEncoderTrainer
from sentence_transformers.multi_vector_encoder.training_args import (
    MultiVectorEncoderTrainingArguments,
)
from sentence_transformers.util import maxsim
from transformers import PreTrainedModel

from models.engine.trl_module import TRLModule
from models.retrieval.encoder import (
    Merging,
    PairwiseLoss,
    Place,
    new_retriever,
    retriever_on,
    save_retriever,
)
from models.retrieval.merging import Likeness, Strategy
from tasks.records.pages import Page, Question
from tasks.training.fitting import fit
from tasks.training.looks import GreedyLooks
from tasks.training.meter import Meter
from tasks.training.objective import Objective, configured
from tasks.training.plan import Plan

Loss = Literal["infonce", "pairwise"]
TEMPERATURE = 0.02
PAIRS = Features({"question": Value("string"), "page": Image(), "other": Image()})


class Contrastive(Objective):
    """The right page before all others of the batch.

    Attributes:
        strategy, factor, likeness: How pages are merged.
        place: Where they are merged, where the start has no projection yet; `width` as well.
        pixels: Most of a page; 0 for what the processor allows.
        negatives: A row has another page as well, which is not the right one.
    """

    loss: Loss = "infonce"
    strategy: Strategy = "clusters"
    factor: float = 9.0
    likeness: Likeness = "profile"
    place: Place = "vectors"
    width: int = 128
    pixels: int = 0
    negatives: bool = False
    warmup_steps: int = 0

    def build(
        self, plan: Plan, network: PreTrainedModel, common: dict[str, Any], parts: dict[str, Any]
    ) -> MultiVectorEncoderTrainer:
        """Build sentence-transformers' trainer."""
        merging = merging_of(self)
        processor = parts["processing_class"]
        if (Path(plan.model) / "modules.json").exists():
            encoder = retriever_on(plan.model, network, processor, merging)
        else:
            encoder = new_retriever(
                network, processor, merging, self.width, plan.seed, self.pixels, self.place
            )
        if adapter := parts["peft_config"]:
            from peft import get_peft_model

            encoder[0].model = get_peft_model(encoder[0].model, adapter)
        names = ("logging_steps", "output_dir", "use_cpu", "max_steps", "seed", "learning_rate",
                 "per_device_train_batch_size", "per_device_eval_batch_size", "report_to",
                 "gradient_accumulation_steps", "disable_tqdm", "save_strategy", "optim",
                 "dataloader_pin_memory")  # fmt: skip
        config = configured(
            MultiVectorEncoderTrainingArguments,
            **{name: common[name] for name in names},
            lr_scheduler_type=plan.schedule, warmup_steps=self.warmup_steps, bf16=False,
        )  # fmt: skip
        data = parts["train_dataset"]
        trainer = QuietTrainer(
            encoder.train(), config, train_dataset=data if self.negatives
            else data.remove_columns("other"), loss=self._loss(encoder, plan),
        )  # fmt: skip
        trainer.remove_callback(_OptimizerZeroGradCallback)  # Lightning does it
        return trainer

    def save(self, network: torch.nn.Module, processor: Any, out: Path) -> None:
        """Write an ordinary folder of sentence-transformers; an adapter is merged first."""
        if hasattr(network[0].model, "merge_and_unload"):
            network[0].model = network[0].model.merge_and_unload()
        save_retriever(network, out)

    def looks(self, plan: Plan, dev: Dataset | None, meter: Meter) -> GreedyLooks | None:
        """Return what looks at the nDCG of held-out questions."""
        return PageLooks(plan, dev, meter) if plan.watched and dev else None

    def _loss(self, encoder: MultiVectorEncoder, plan: Plan) -> torch.nn.Module:
        if self.loss == "pairwise":
            return PairwiseLoss(encoder)
        return MultiVectorMultipleNegativesRankingLoss(
            encoder, scale=1 / TEMPERATURE, similarity_fct=mean_colbert_scores,
            gather_across_devices=plan.processes > 1,
        )  # fmt: skip


def merging_of(told: Contrastive) -> Merging:
    """Return the merging that a retriever is trained with, and saved with."""
    return Merging(told.strategy, told.factor, told.likeness)


class QuietTrainer(MultiVectorEncoderTrainer):
    """sentence-transformers' trainer without the model card that it would write."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Write none: ours is written by the registry."""


class PageLooks(GreedyLooks):
    """Looks at how well held-out questions find their page among all held-out ones."""

    def _score(self, module: TRLModule) -> float:
        encoder: MultiVectorEncoder = module.trl.accelerator.unwrap_model(module.trl.model)
        training = encoder.training
        try:
            rows = self.dev[:]
            pages = encoder.encode_document(rows["page"], batch_size=8)
            asked = encoder.encode_query(rows["question"], batch_size=32)
        finally:
            encoder.train(training)
        scores = maxsim(asked, pages).tolist()
        names = [f"{i:06d}" for i in range(len(pages))]
        questions = [Question(name, "", {name: 1}) for name in names]
        run = {
            name: dict(zip(names, row, strict=True))
            for name, row in zip(names, scores, strict=True)
        }
        return self.plan.watched(questions, run)


def train_retriever(
    questions: Sequence[Question], pages: dict[str, Page], contrastive: Contrastive, plan: Plan,
    *, dev: Sequence[Question] = (),
) -> list[dict[str, float]]:  # fmt: skip
    """Train on questions with their pages; returns the learning curve.

    Args:
        pages: By name; those of the questions and of their negatives.
        plan: With `watched` (`tasks.benchmarks.retrieval.mean_ndcg`) the step with the best
            nDCG@5 of `dev` is kept.
    """
    told = contrastive.model_copy(
        update={"negatives": all(q.details.get("negatives") for q in questions)}
    )
    return fit(told, plan, _pairs(questions, pages), _pairs(dev, pages) if dev else None)


def _pairs(questions: Sequence[Question], pages: dict[str, Page]) -> Dataset:
    def shown(name: str) -> dict[str, Any]:
        return {"bytes": pages[name].image, "path": None}

    rows = []
    for question in questions:
        best = max(question.relevant, key=lambda name: question.relevant[name])
        others = question.details.get("negatives") or [best]
        rows.append({"question": question.text, "page": shown(best), "other": shown(others[0])})
    return Dataset.from_list(rows, features=PAIRS)
