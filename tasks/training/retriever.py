"""Trains a retriever of pages with merging on, by sentence-transformers' own trainer.

Follows Light-ColPali (arXiv 2506.04997; specification, section 3): the loss of the retriever that
it starts from, computed with merged pages; the groups are decided without a gradient. Questions are
never merged. The step with the best nDCG@5 of held-out questions is kept.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset, Features, Image, List, Value
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.trainer import _OptimizerZeroGradCallback
from sentence_transformers.multi_vector_encoder.trainer import MultiVectorEncoderTrainer
from sentence_transformers.multi_vector_encoder.training_args import (
    MultiVectorEncoderTrainingArguments,
)
from sentence_transformers.util import maxsim
from transformers import PreTrainedModel

from models.engine.trl_module import TRLModule
from models.retrieval.encoder import (
    Merging,
    Place,
    new_retriever,
    retriever_on,
    save_retriever,
)
from models.retrieval.losses import RetrievalLoss
from models.retrieval.merging import Likeness, Strategy
from tasks.asking.opening import opened
from tasks.records.pages import Page, Question
from tasks.running.errors import UserError
from tasks.training.fitting import fit
from tasks.training.looks import GreedyLooks
from tasks.training.meter import Meter
from tasks.training.objective import Objective, configured
from tasks.training.plan import Plan

Loss = Literal["infonce", "pairwise"]
# `label`: numbers of both pages, so that a page is never a wrong one for a question that it answers
PAIRS = Features(
    {"question": Value("string"), "page": Image(), "other": Image(), "label": List(Value("int64"))}
)


class Contrastive(Objective):
    """The right page before all others of the batch.

    Attributes:
        strategy, factor, likeness, prompt_rows: How pages are merged.
        place: Where they are merged, where the start has no projection yet; `width` as well.
        pixels: Most of a page; 0 for what the processor allows.
        negatives: A row has another page as well, which is not the right one.
    """

    loss: Loss = "infonce"
    strategy: Strategy = "clusters"
    factor: float = 9.0
    likeness: Likeness = "profile"
    prompt_rows: bool = True
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
            encoder = opened(
                plan.model,
                lambda: retriever_on(plan.model, network, processor, merging, self.pixels),
            )
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
            else data.remove_columns("other"),
            loss=RetrievalLoss(encoder, self.loss, gathered=plan.processes > 1),
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


def merging_of(told: Contrastive) -> Merging:
    """Return the merging that a retriever is trained with, and saved with."""
    return Merging(told.strategy, told.factor, told.likeness, told.prompt_rows)


class QuietTrainer(MultiVectorEncoderTrainer):
    """sentence-transformers' trainer without the model card that it would write."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Write none: ours is written by the registry."""


class PageLooks(GreedyLooks):
    """Looks at how well held-out questions find their page among all held-out ones."""

    def _score(self, module: TRLModule) -> float:
        encoder: MultiVectorEncoder = module.trl.accelerator.unwrap_model(module.trl.model)
        training = encoder.training
        rows = self.dev[:]
        named = [f"{label[0]:09d}" for label in rows["label"]]
        pages = dict(zip(named, rows["page"], strict=True))  # one that several ask about is one
        try:
            shown = encoder.encode_document(list(pages.values()), batch_size=8)
            asked = encoder.encode_query(rows["question"], batch_size=32)
        finally:
            encoder.train(training)
        questions = [Question(str(i), "", {name: 1}) for i, name in enumerate(named)]
        run = {
            question.id: dict(zip(pages, scores, strict=True))
            for question, scores in zip(questions, maxsim(asked, shown).tolist(), strict=True)
        }
        return self.plan.watched(questions, run)


def train_retriever(
    questions: Sequence[Question], pages: dict[str, Page], contrastive: Contrastive, plan: Plan,
    *, dev: Sequence[Question] = (),
) -> list[dict[str, float]]:  # fmt: skip
    """Train on questions with their pages; returns the learning curve.

    Args:
        pages: By name; those of the questions and of their negatives. A question without a
            negative, where others have some, gets any other page.
        plan: With `watched` (`tasks.benchmarks.retrieval.mean_ndcg`) the step with the best
            nDCG@5 of `dev` is kept.

    Raises:
        UserError: There is no wrong page to learn from.
    """
    negatives = any(q.details.get("negatives") for q in questions)
    if plan.micro_batch < 2 and not negatives:
        raise UserError(
            "There is no wrong page to learn from",
            f"a device sees {plan.micro_batch} question at a time, and the data names no negatives",
            "raise `retriever.batch`, or give questions `negatives`",
        )
    told = contrastive.model_copy(update={"negatives": negatives})
    rng = random.Random(plan.seed)
    return fit(told, plan, _pairs(questions, pages, rng), _pairs(dev, pages, rng) if dev else None)


def _pairs(questions: Sequence[Question], pages: dict[str, Page], rng: random.Random) -> Dataset:
    """Return questions with their best page and a wrong one, of those named one that is drawn."""
    numbers = {name: number for number, name in enumerate(pages)}
    rows = []
    for question in questions:
        best = question.best
        wrong = [name for name in pages if name not in question.relevant]
        other = rng.choice(question.details.get("negatives") or wrong or [best])
        rows.append({
            "question": question.text, "page": _picture(pages[best]),
            "other": _picture(pages[other]), "label": [numbers[best], numbers[other]],
        })  # fmt: skip
    return Dataset.from_list(rows, features=PAIRS)


def _picture(page: Page) -> dict[str, Any]:
    return {"bytes": page.image, "path": None}
