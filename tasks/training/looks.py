"""Looks at held-out questions during a training: greedy answers, scored as the benchmark scores.

The loss of fine-tuning and the sampled reward of GRPO cannot be compared with each other; a greedy
look can, so every method chooses its best step by the same number.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from datasets import Dataset

from models.trl_module import TRLModule
from tasks.asking import generate_answers
from tasks.rewards.verifiable import REWARDS
from tasks.training.meter import Meter
from tasks.training.plan import Plan

AT_ONCE = 64  # questions answered together


class GreedyLooks(L.Callback):
    """Looks at the start, every few steps and at the end; keeps the weights of the best look.

    Args:
        dev: Held-out questions with the columns that the rewards read.

    Attributes:
        scores: The score of each look, by step.
    """

    def __init__(self, plan: Plan, dev: Dataset, meter: Meter):
        self.plan, self.dev, self.meter = plan, dev, meter
        self.folder = Path(plan.scratch)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.scores: dict[int, float] = {}

    @property
    def best_step(self) -> int:
        """The first of the steps with the highest score."""
        return max(self.scores, key=lambda step: (self.scores[step], -step))

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        file = self.folder / "looks.json"
        if trainer.global_step and file.exists():
            known = {int(step): score for step, score in json.loads(file.read_text()).items()}
            # looks of steps that the checkpoint does not know are taken again
            self.scores = {step: s for step, s in known.items() if step <= trainer.global_step}
        else:
            self._look(trainer, module)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: TRLModule, outputs: Any, batch: tuple, batch_idx: int
    ) -> None:
        step = trainer.global_step
        due = step % self.plan.evaluate_every == 0 or step == self.plan.steps
        if batch[-1] and due and step not in self.scores:
            self._look(trainer, module)

    def take_best(self, module: TRLModule) -> None:
        """Put the weights of the best look into the model."""
        print(f"keeping step {self.best_step}: dev {self.scores[self.best_step]:.4g}", flush=True)
        state = torch.load(self._weights, map_location="cpu", weights_only=True)
        module.trl.model.load_state_dict(state, strict=False)

    @property
    def _weights(self) -> Path:
        return self.folder / "best.pt"

    def _look(self, trainer: L.Trainer, module: TRLModule) -> None:
        score = 0.0
        with self.meter.aside("look"):
            if trainer.is_global_zero:
                score = self._score(module)
            score = trainer.strategy.broadcast(score)
        step = trainer.global_step
        self.scores[step] = score
        if trainer.is_global_zero:
            if self.best_step == step:
                torch.save(module.trl.model.state_dict(), self._weights)
            (self.folder / "looks.json").write_text(json.dumps(self.scores))
            print(f"step {step} of {self.plan.steps}  dev {score:.4g}", flush=True)
        if trainer.logger:
            trainer.logger.log_metrics({"dev/score": score}, step=step)
        looks_without_gain = sum(taken > self.best_step for taken in self.scores)
        if self.plan.patience and looks_without_gain >= self.plan.patience:
            print(f"no gain in {looks_without_gain} looks: stopping", flush=True)
            trainer.should_stop = True

    def _score(self, module: TRLModule) -> float:
        trl = module.trl
        network = trl.accelerator.unwrap_model(trl.model)
        training = network.training
        network.eval()
        try:
            scores = [
                score
                for rows in _batches(self.dev)
                for score in self._scores(network, trl.processing_class, rows)
                if score is not None
            ]
        finally:
            network.train(training)
        return sum(scores) / len(scores)

    def _scores(
        self, network: Any, processor: Any, rows: dict[str, list]
    ) -> Sequence[float | None]:
        turns = [
            [{"role": "user", "content": [
                *({"type": "image", "image": image} for image in images),
                {"type": "text", "text": prompt[-1]["content"]},
            ]}]
            for prompt, images in zip(rows["prompt"], rows["images"], strict=True)
        ]  # fmt: skip
        answers = generate_answers(network, processor, turns, max_new_tokens=self.plan.look_tokens)
        return REWARDS[self.plan.watched](answers.texts, **rows)


def _batches(dev: Dataset) -> Iterator[dict[str, list]]:
    for start in range(0, len(dev), AT_ONCE):
        yield dev[start : start + AT_ONCE]
