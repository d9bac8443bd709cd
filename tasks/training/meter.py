"""What a training will cost, and what it did cost: time by part, tokens, memory, money."""

import contextlib
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
import transformers

from models.engine.trl_module import TRLModule
from tasks.training.plan import Plan

LOOKED_AT = 2  # steps behind a forecast; the one before them warms up
TOKENS = "train/num_tokens"  # TRL's count since the beginning
# TRL's methods and what they do; those that a trainer does not have are not timed
PARTS = {
    "_generate": "generate",
    "_calculate_rewards": "reward",
    "_generate_and_score_completions": "rollout",
}


class Meter(L.Callback):
    """Times every step and its parts, and forecasts the whole after the first steps.

    Attributes:
        forecast: `seconds_per_step`, `seconds`, `peak_memory_gb` and `money`; empty until it is
            known.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.forecast: dict[str, float] = {}
        self._steps: list[float] = []
        self._parts: dict[str, float] = defaultdict(float)
        self._started = self._step_started = time.perf_counter()
        self._first_step = 0
        self._tokens_before = 0.0

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        for method, part in PARTS.items():
            if hasattr(module.trl, method):
                self._time(module.trl, method, part)
        self._started = self._step_started = time.perf_counter()
        self._first_step = trainer.global_step
        self._tokens_before = _tokens(module)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: TRLModule, outputs: Any, batch: tuple, batch_idx: int
    ) -> None:
        if not batch[-1]:
            return
        now = time.perf_counter()
        self._steps.append(now - self._step_started)
        self._step_started = now
        if len(self._steps) == LOOKED_AT + 1 and not self.forecast:
            self.forecast = self._predict()

    def on_validation_end(self, trainer: L.Trainer, module: TRLModule) -> None:
        self._step_started = time.perf_counter()  # a look is no step

    def summary(self, module: TRLModule) -> dict[str, float]:
        """Return what the training used, and how far off the forecast was."""
        seconds = time.perf_counter() - self._started
        if not self.forecast and self._steps:  # fewer steps than a forecast looks at
            self.forecast = self._predict()
        # a training that was killed after its last step has none left
        tokens = _tokens(module) - self._tokens_before if self._steps else 0.0
        parts = dict(self._parts)
        parts["score"] = parts.pop("rollout", 0.0) - sum(
            parts.get(name, 0.0) for name in ("generate", "reward")
        )
        stepping = sum(self._steps)
        parts["train"] = stepping - sum(
            parts.get(name, 0.0) for name in ("generate", "reward", "score")
        )
        aside = sum(parts.get(name, 0.0) for name in ("save", "look"))
        parts["other"] = seconds - stepping - aside
        used = {f"seconds/{name}": value for name, value in parts.items() if value > 0}
        used |= {
            "steps": float(len(self._steps)),
            "samples": float(len(self._steps) * self.plan.batch),
            "tokens_per_second": tokens / seconds,
            "peak_memory_gb": peak_memory_gb(),
            "device_hours": seconds / 3600 * self.plan.processes,
            "money": seconds / 3600 * self.plan.processes * self.plan.rate_per_hour,
        }
        if self.forecast and self._first_step == 0:
            used["forecast_error"] = self.forecast["seconds"] / seconds - 1
        return used

    @contextlib.contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Add the time of a block to a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._parts[part] += time.perf_counter() - started

    @contextlib.contextmanager
    def aside(self, part: str) -> Iterator[None]:
        """Add the time of a block between two steps to a part, and not to the step after it."""
        with self.timing(part):
            yield
        self._step_started = time.perf_counter()

    def _time(self, trl: transformers.Trainer, method: str, part: str) -> None:
        original: Callable = getattr(trl, method)

        def timed(*args: Any, **settings: Any) -> Any:
            with self.timing(part):
                return original(*args, **settings)

        setattr(trl, method, timed)

    def _predict(self) -> dict[str, float]:
        looked_at = self._steps[1 : LOOKED_AT + 1] or self._steps
        per_step = sum(looked_at) / len(looked_at)
        seconds = self._steps[0] + per_step * (self.plan.steps - 1)
        return {
            "seconds_per_step": per_step,
            "seconds": seconds,
            "peak_memory_gb": peak_memory_gb(),
            "money": seconds / 3600 * self.plan.processes * self.plan.rate_per_hour,
        }


def _tokens(module: TRLModule) -> float:
    return next((row[k] for row in module.history[::-1] for k in row if k == TOKENS), 0.0)


def peak_memory_gb() -> float:
    """Return the peak memory in GB: the device's, or this process's on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's maximum is inherited from the process that started this one
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
