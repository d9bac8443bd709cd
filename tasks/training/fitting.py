"""Fits a TRL trainer inside Lightning: checkpoints in the scratch folder, metrics to MLflow, resume."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import mlflow
import transformers
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger

from models.loading import save_model
from models.trl_module import TRLModule

SECONDS_BETWEEN_LINES = 10
# The same for every TRL trainer: Lightning and MLflow do the rest.
TRL_DEFAULTS: dict[str, Any] = {
    "bf16": False,
    "report_to": "none",
    "disable_tqdm": True,
    "save_strategy": "no",
    "logging_steps": 1,
    "optim": "adamw_torch",  # the fused one breaks clipping under bf16-mixed
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
    "remove_unused_columns": False,
}


class ProgressLines(L.Callback):
    """Prints a line now and then, for logs in which a progress bar would be noise."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            values = {k: float(v) for k, v in trainer.callback_metrics.items()}
            shown = {k: v for k, v in values.items() if k in ("train/loss", "train/reward")}
            told = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
            print(f"step {trainer.global_step} of {trainer.max_steps}  {told}", flush=True)


class History(L.Callback):
    """Keeps every logged metric by step, for the learning curves of the report."""

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.rows = rows

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        row = {k: float(v) for k, v in trainer.callback_metrics.items()}
        if row and (not self.rows or self.rows[-1]["step"] < trainer.global_step):
            self.rows.append({"step": trainer.global_step} | row)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows[:] = state["rows"]


def fit(
    build: Callable[[], transformers.Trainer],
    *,
    steps: int,
    out: Path,
    scratch: Path,
    run_id: str,
    device: str,
    precision: str,
    seed: int,
    checkpoint_every: int = 10,
) -> list[dict[str, float]]:
    """Train, or go on from the checkpoint in `scratch`, and save the model to `out`.

    Returns:
        The logged metrics by step.
    """
    L.seed_everything(seed, verbose=False)
    module = TRLModule(build)
    history: list[dict[str, float]] = []
    checkpoints = ModelCheckpoint(
        scratch, filename="{step}", save_last=True, save_top_k=0, every_n_train_steps=checkpoint_every
    )
    trainer = L.Trainer(
        accelerator=device,
        devices=1,
        precision=precision,
        max_steps=steps,
        logger=mlflow_logger(run_id),
        callbacks=[checkpoints, ProgressLines(), History(history)],
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    last = scratch / "last.ckpt"
    if last.exists():
        print("continuing from the last checkpoint", flush=True)
    # weights_only=False: the checkpoint is our own and holds TRL's counters and random state
    trainer.fit(module, ckpt_path=last if last.exists() else None, weights_only=False)
    save_model(module.trl.accelerator.unwrap_model(module.model), module.trl.processing_class, out)
    return history


def mlflow_logger(run_id: str) -> MLFlowLogger:
    """Return Lightning's logger on the stage's own run."""
    return MLFlowLogger(tracking_uri=mlflow.get_tracking_uri(), run_id=run_id)
