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

from models.engine.checkpoints import fault, from_first
from models.engine.trl_module import TRLModule
from models.engine.whole import set_aside, write_whole, written_whole
from tasks.asking.asker import Writing
from tasks.asking.generating import generate_answers
from tasks.asking.preparing import PIXELS
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

    def on_load_checkpoint(
        self, trainer: L.Trainer, module: TRLModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember the looks before a kill: here, as after its last step no training starts."""
        self.scores = from_first(lambda: self._known(checkpoint["global_step"]))

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        if self.scores:
            self._stop_without_gain(trainer)
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
        if not self.scores:
            print("no look was taken: keeping the last step", flush=True)
            return
        print(f"keeping step {self.best_step}: dev {self.scores[self.best_step]:.4g}", flush=True)
        state = torch.load(self._weights, map_location="cpu", weights_only=True)["weights"]
        module.trl.model.load_state_dict(state, strict=False)

    def write(self, out: Path) -> None:
        """Write the score of each look, by step, and which step was kept."""
        if self.scores:
            scores = {str(step): score for step, score in sorted(self.scores.items())}
            told = json.dumps({"kept": self.best_step, "scores": scores})
            (out / "looks.json").write_text(told + "\n")

    @property
    def _weights(self) -> Path:
        return self.folder / "best.pt"

    def _known(self, until: int) -> dict[int, float]:
        """Read the looks up to a step; later ones are taken again, but for the best."""
        best: dict[int, float] = {}
        if self._weights.exists():
            if why := fault(self._weights):
                # without the best look's weights no look can be compared with it
                aside = set_aside(self._weights)
                print(f"{self._weights} cannot be used ({why}): set aside as {aside.name}; "
                      "the looks start anew", flush=True)  # fmt: skip
                return {}
            kept = torch.load(self._weights, map_location="cpu", mmap=True, weights_only=True)
            best = {kept["step"]: kept["score"]}
        file = self.folder / "looks.json"
        try:
            known = {int(step): float(s) for step, s in json.loads(file.read_text()).items()}
        except FileNotFoundError:
            known = {}
        except (ValueError, AttributeError, TypeError) as error:
            aside = set_aside(file)
            print(f"{file} cannot be read ({error}): set aside as {aside.name}", flush=True)
            known = {}
        if not best:
            return {}
        return {step: s for step, s in sorted((known | best).items()) if step <= until} | best

    def _look(self, trainer: L.Trainer, module: TRLModule) -> None:
        score = 0.0
        with self.meter.aside("look"):
            if trainer.is_global_zero:
                score = self._score(module)
            score = trainer.strategy.broadcast(score)
        step = trainer.global_step
        self.scores[step] = score
        if trainer.is_global_zero:
            if self.best_step == step:  # first, so that no score is known without its weights
                best = {"step": step, "score": score, "weights": module.trl.model.state_dict()}
                with written_whole(self._weights) as stream:
                    torch.save(best, stream)
            write_whole(self.folder / "looks.json", json.dumps(dict(sorted(self.scores.items()))))
            print(f"step {step} of {self.plan.steps}  dev {score:.4g}", flush=True)
        if trainer.logger:
            trainer.logger.log_metrics({"dev/score": score}, step=step)
        self._stop_without_gain(trainer)

    def _stop_without_gain(self, trainer: L.Trainer) -> None:
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
        return sum(scores) / max(1, len(scores))

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
        how, greedy = Writing(self.plan.look_tokens), [(0,)] * len(turns)
        answers = generate_answers(network, processor, turns, greedy, how)
        return self.plan.watched([answer.text for [answer] in answers], **rows)


def _batches(dev: Dataset) -> Iterator[dict[str, list]]:
    """Yield rows to be answered together, bounded by number and by the pixels of their pictures."""
    rows: list[dict] = []
    pixels = 0
    for row in dev:  # decodes one at a time
        more = sum(image.width * image.height for image in row["images"])
        if rows and (len(rows) == AT_ONCE or pixels + more > PIXELS):
            yield {name: [held[name] for held in rows] for name in row}
            rows, pixels = [], 0
        rows.append(row)
        pixels += more
    if rows:
        yield {name: [held[name] for held in rows] for name in rows[0]}
