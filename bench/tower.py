"""A fine-tuning step with a frozen vision tower that looks at every picture, or at each once.

`make bench-tower` prints the figures and writes `bench/tower.json`. Both arms train equal copies of
the shipped judge on the same rows, a trace about two pictures each, in turns: after a first pass,
in which the tower sees all pictures, medians of the steps are compared.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from models.prefix.shared import share_prefix
from models.vlm.picture_memory import TowerMemory
from tasks.reproduction.think_traces import true_traces
from tasks.running.process import be_quiet
from tasks.training.conversations import conversation_dataset
from tasks.training.objective import build_trainer
from tasks.training.plan import Plan
from tasks.training.sft import Sft
from tasks.training.thinker import trace_turns
from tasks.world.thinking import make_pair

ROWS, BATCH, PASSES = 64, 16, 4
WHERE = Path(__file__).with_name("tower.json")


class Arm:
    """One trainer, stepped by hand."""

    def __init__(self, remembering: bool, rows: list):
        out = Path(".runtime") / "bench" / "tower"
        plan = Plan(
            model="outputs/judge_start", steps=PASSES * ROWS // BATCH, batch=BATCH, out=str(out),
            scratch=str(out), run_id="", seed=0, device="cpu", freeze_vision=True,
        )  # fmt: skip
        data = conversation_dataset(rows)
        self.trl: Any = build_trainer(Sft(learning_rate=1e-4), plan, data, None)
        tower = self.trl.model.model.visual
        memory: TowerMemory = tower.forward
        if not remembering:
            tower.forward = memory.forward
        self.memory = memory
        share_prefix(self.trl.model)
        self.trl.create_optimizer()
        self.trl.current_gradient_accumulation_steps = 1
        self.batches = list(self.trl.get_train_dataloader())

    def step(self, number: int) -> tuple[float, float]:
        """Take one step; returns its seconds and its loss."""
        batch = dict(self.batches[number % len(self.batches)])
        began = time.perf_counter()
        loss = self.trl.training_step(self.trl.model, batch, None)
        self.trl.optimizer.step()
        self.trl.optimizer.zero_grad()
        return time.perf_counter() - began, float(loss)


def measure() -> dict[str, Any]:
    """Return the medians of both arms, their ratio, and how far their losses are apart."""
    pairs = [make_pair(0, "train", "image_generation", i) for i in range(ROWS)]
    rows = trace_turns(true_traces(pairs, True, 0))
    arms = {"every step": Arm(False, rows), "once": Arm(True, rows)}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    apart = 0.0
    for number in range(PASSES * ROWS // BATCH):
        taken = {name: arm.step(number) for name, arm in arms.items()}
        apart = max(apart, abs(taken["once"][1] - taken["every step"][1]))
        if number >= ROWS // BATCH:  # in the first pass all pictures are new
            for name, (took, _) in taken.items():
                seconds[name].append(took)
    medians = {name: statistics.median(some) for name, some in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["every step"], seconds["once"], strict=True)]
    memory = arms["once"].memory
    return {
        "seconds": medians, "ratio": statistics.median(ratios), "ratios": ratios,
        "losses_apart": apart, "pictures": memory.given, "looked_at": memory.computed,
        "torch": torch.__version__, "threads": torch.get_num_threads(),
    }  # fmt: skip


if __name__ == "__main__":
    be_quiet()
    found = json.dumps(measure(), indent=1)
    print(found)
    WHERE.write_text(found + "\n")
