"""Lets go of the KL leash by half a cosine over all steps, as Visionary-R1 does.

After arXiv 2505.14677 (specification, 3.6): early training stays near its start, later training may
write more. The released code counts epochs instead, so that the weight rises again in the second.
"""

import math
from typing import Any

import lightning as L

from models.engine.trl_module import TRLModule


def kl_weight(start: float, done: float, whole: float) -> float:
    """Return the KL weight when `done` of `whole` steps are finished.

    >>> kl_weight(0.04, 0, 100), kl_weight(0.04, 50, 100), kl_weight(0.04, 100, 100)
    (0.04, 0.02, 0.0)
    """
    progress = min(1.0, max(0.0, done / whole))
    return start / 2 * (1 + math.cos(math.pi * progress))


class KlSchedule(L.Callback):
    """Sets the weight of every step from its number alone, so that a resumed training has the same.

    TRL's own callbacks cannot: Lightning owns the loop, and of their hooks the bridge passes on the
    beginning of training and the end of a step. TRL reads the weight where it computes the loss.

    Args:
        start: The weight of the first step; with 0 TRL has no reference, and it stays 0.
        steps: Optimiser steps of the whole training.
    """

    def __init__(self, start: float, steps: int):
        self.start, self.steps = start, steps

    def on_train_batch_start(
        self, trainer: L.Trainer, module: TRLModule, batch: Any, batch_idx: int
    ) -> None:
        module.trl.beta = kl_weight(self.start, trainer.global_step, self.steps)
        # averaged over the batches of a step, which all have the same
        module.trl._metrics["train"]["beta"].append(module.trl.beta)
