"""Fits a TRL trainer inside Lightning: checkpoints in the scratch folder, metrics to MLflow."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import transformers
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger

import mlflow
from models.loading import save_model
from models.picture_memory import remember_pictures
from models.shared_prefix import SharedPrefix, share_prefix
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

    def on_train_batch_end(self, trainer: L.Trainer, module: TRLModule, *_: Any) -> None:
        if time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            last = module.history[-1] if module.history else {}
            shown = {k: v for k, v in last.items() if k in ("train/loss", "train/reward")}
            told = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
            print(f"step {trainer.global_step} of {trainer.max_steps}  {told}", flush=True)


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
) -> list[dict[str, float]]:
    """Train, or go on from the checkpoint in `scratch`, and save the model to `out`.

    A checkpoint is written ten times a run, and after every tenth step of long ones.

    Returns:
        The logged metrics by step.
    """
    L.seed_everything(seed, verbose=False)
    sharing: list[SharedPrefix | None] = []

    def build_sharing() -> transformers.Trainer:
        trl = build()
        remember_pictures(trl.processing_class)
        networks = [trl.model, getattr(trl, "ref_model", None)]
        sharing.extend(share_prefix(network) for network in networks if network is not None)
        return trl

    module = TRLModule(build_sharing)
    checkpoints = ModelCheckpoint(
        scratch,
        filename="{step}",
        save_last=True,
        save_top_k=0,
        every_n_train_steps=max(1, min(10, steps // 10)),
    )
    trainer = L.Trainer(
        accelerator=device,
        devices=1,
        precision=precision,
        max_steps=steps,
        logger=mlflow_logger(run_id),
        callbacks=[checkpoints, ProgressLines()],
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
    _log_sharing(run_id, [one for one in sharing if one])
    save_model(module.trl.accelerator.unwrap_model(module.model), module.trl.processing_class, out)
    return module.history


def _log_sharing(run_id: str, sharing: list[SharedPrefix]) -> None:
    client = mlflow.MlflowClient()
    client.set_tag(run_id, "shared_prefix", "on" if sharing else "off: unsupported family")
    given, computed = (sum(getattr(one, n) for one in sharing) for n in ("given", "computed"))
    if given:
        client.log_metric(run_id, "shared_prefix/tokens_saved", 1 - computed / given)


def mlflow_logger(run_id: str) -> MLFlowLogger:
    """Return Lightning's logger on the stage's own run."""
    return MLFlowLogger(tracking_uri=mlflow.get_tracking_uri(), run_id=run_id)
