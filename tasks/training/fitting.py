"""Fits a TRL trainer inside Lightning: checkpoints in the scratch folder, metrics to MLflow."""

import os
import time
from pathlib import Path
from typing import Any

import lightning as L
import transformers
from datasets import Dataset
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy

import mlflow
from models.engine.checkpoints import WholeCheckpoints, from_first, newest_checkpoint, weights_in
from models.engine.strategies import cpu_deepspeed, deepspeed
from models.engine.trl_module import TRLModule, WindowCheckpoint
from models.prefix.shared import SharedPrefix, share_prefix
from tasks.running.errors import Checked
from tasks.training.launch import train_in_processes
from tasks.training.meter import LOOKED_AT, Meter
from tasks.training.objective import Objective, build_trainer
from tasks.training.plan import Plan
from tasks.training.sight import Sight

SECONDS_BETWEEN_LINES = 10


class ProgressLines(L.Callback):
    """Prints a line now and then, for logs in which a progress bar would be noise."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, module: TRLModule, *_: Any) -> None:
        if trainer.is_global_zero and time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            last = module.history[-1] if module.history else {}
            shown = {k: v for k, v in last.items() if k in ("train/loss", "train/reward")}
            told = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
            print(f"step {trainer.global_step} of {trainer.max_steps}  {told}", flush=True)


class StopWithoutGain(EarlyStopping):
    """Stops again where a training that had been stopped was killed while its model was saved."""

    def on_train_start(self, trainer: L.Trainer, module: TRLModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def fit(
    objective: Objective, plan: Plan, data: Dataset, dev: Dataset | None = None
) -> list[dict[str, float]]:
    """Train as planned, or go on from the checkpoint in the scratch folder, and save the model.

    Args:
        dev: Held-out examples; if the plan wants to look at some and there are none, a tenth of the
            data is held out.

    Returns:
        The logged metrics by step.

    Raises:
        UserError: This machine cannot do it, or a process failed.
        Checked: The plan only asked for a forecast; here it is.
    """
    plan.check_machine()
    if not plan.evaluate_every:
        dev = None
    elif dev is None:
        parts = data.train_test_split(test_size=0.1, seed=plan.seed)
        data, dev = parts["train"], parts["test"]
    if dev is not None:
        dev = dev.select(range(min(len(dev), plan.evaluated)))
    alone = plan.processes == 1
    run = train if alone else train_in_processes
    report = run(objective, plan, data, dev)
    if plan.check:
        raise Checked(report["forecast"])
    if plan.run_id:
        metrics = {f"cost/training/{name}": value for name, value in report["used"].items()}
        mlflow.log_metrics(metrics, run_id=plan.run_id)
        mlflow.MlflowClient().set_tag(plan.run_id, "shared_prefix", report["shared_prefix"])
    return report["history"]


def train(objective: Objective, plan: Plan, data: Dataset, dev: Dataset | None) -> dict[str, Any]:
    """Train in this process, one of `plan.processes`.

    Returns:
        `history` by step, `used` and `forecast` (see `Meter`), and whether prefixes were shared;
        nothing in all processes but the first.
    """
    L.seed_everything(plan.seed, verbose=False)
    sharing: list[SharedPrefix] = []

    def build() -> transformers.Trainer:
        trl = build_trainer(objective, plan, data, None if watching else dev)
        for network in (trl.model, getattr(trl, "ref_model", None)):
            if _writes(network) and (shared := share_prefix(network)):
                sharing.append(shared)
        return trl

    module, meter, best = TRLModule(build), Meter(plan), _best_look(objective, plan)
    watching = objective.looks(plan, dev, meter)
    looks = None if plan.check else watching
    more = [] if plan.check else objective.callbacks(plan)
    trainer = _trainer(plan, meter, best, [looks, *more] if looks else more)
    last = None if plan.check else _newest(Path(plan.scratch) / "last.ckpt")
    if last:
        print(f"continuing from the last checkpoint, {last.name}", flush=True)
    trainer.fit(module, ckpt_path=last, weights_only=True)
    if best and best.best_model_path and (look := _newest(Path(best.best_model_path))):
        print(f"keeping the best look: {best.monitor} {best.best_model_score:.4g}", flush=True)
        module.load_state_dict(weights_in(look), strict=False)
    if not plan.check and trainer.is_global_zero:
        with meter.timing("save"):
            if plan.keep_last:
                _save(objective, module, Path(plan.keep_last))
            if looks:
                looks.take_best(module)
            _save(objective, module, Path(plan.out))
            if looks:
                looks.write(Path(plan.out))
            objective.finish(more, Path(plan.out))
    used = meter.summary(module)
    if not trainer.is_global_zero:
        return {}
    if given := sum(one.given for one in sharing):
        used["prefix_tokens_saved"] = 1 - sum(one.computed for one in sharing) / given
    print("  ".join(f"{name} {value:.4g}" for name, value in used.items()), flush=True)
    for step, score in looks.scores.items() if looks else ():
        if step:  # the look before the first step is in looks.json only
            module.history[step - 1]["dev/score"] = score
    family = getattr(getattr(module.trl.model, "config", None), "model_type", "another kind")
    shared = "on" if sharing else f"off: {family} is not supported"
    return {
        "history": module.history, "used": used, "forecast": meter.forecast,
        "shared_prefix": shared,
    }  # fmt: skip


def _writes(network: Any) -> bool:
    """Return whether it is a model of transformers, or an adapter around one, and no retriever."""
    return isinstance(network, transformers.PreTrainedModel) or hasattr(network, "get_base_model")


def _newest(checkpoint: Path) -> Path | None:
    return from_first(lambda: newest_checkpoint(checkpoint))


def _best_look(objective: Objective, plan: Plan) -> ModelCheckpoint | None:
    if not plan.patience or plan.check or plan.watched:
        return None
    metric, mode = objective.watches
    return ModelCheckpoint(
        plan.scratch, filename="best", monitor=metric, mode=mode, save_top_k=1,
        every_n_train_steps=None, save_on_train_epoch_end=False, enable_version_counter=False,
    )  # fmt: skip


def _trainer(
    plan: Plan, meter: Meter, best: ModelCheckpoint | None, more: list[L.Callback]
) -> L.Trainer:
    callbacks: list[L.Callback] = [Sight(), meter, ProgressLines(), *more]
    if best:
        stop = StopWithoutGain(best.monitor, mode=best.mode, patience=plan.patience)
        callbacks += [best, stop]
    if not plan.check:
        # ten times a run, and after every tenth step of long ones
        every = max(1, min(10, plan.steps // 10))
        callbacks.append(
            WindowCheckpoint(
                plan.scratch,
                filename="{step}",
                save_last=True,
                save_top_k=0,
                every_n_train_steps=every,
                enable_version_counter=False,
            )  # fmt: skip
        )
    engine = plan.strategy.startswith("deepspeed")
    return L.Trainer(
        accelerator=plan.device,
        devices=plan.devices,
        num_nodes=plan.nodes,
        strategy=_strategy(plan),
        # a model loaded in bfloat16 needs no conversion; DeepSpeed keeps float32 masters itself
        precision="32-true" if plan.precision == "bf16-true" and not engine else plan.precision,
        max_steps=min(plan.steps, LOOKED_AT + 1) if plan.check else plan.steps,
        accumulate_grad_batches=plan.accumulate,
        gradient_clip_val=1.0 if engine else None,
        logger=mlflow_logger(plan.run_id) if plan.run_id else False,
        callbacks=callbacks,
        plugins=[WholeCheckpoints(), LightningEnvironment()],  # the processes have met already
        enable_checkpointing=not plan.check,
        log_every_n_steps=1,
        val_check_interval=(not plan.watched and plan.evaluate_every * plan.accumulate) or None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _save(objective: Objective, module: TRLModule, out: Path) -> None:
    network = module.trl.accelerator.unwrap_model(module.model)
    objective.save(network, module.trl.processing_class, out)


def _strategy(plan: Plan) -> str | Strategy:
    if plan.strategy.startswith("deepspeed"):
        stage = int(plan.strategy[-1])
        if plan.on_cpu:
            os.environ["DS_ACCELERATOR"] = "cpu"  # DeepSpeed reads it when it is imported
            return cpu_deepspeed(stage)
        return deepspeed(stage)
    if plan.processes == 1:
        return "auto"
    # a text-only row leaves the vision tower without a gradient
    backend = "gloo" if plan.on_cpu else "nccl"
    return DDPStrategy(process_group_backend=backend, find_unused_parameters=True)


class StageLogger(MLFlowLogger):
    """Lightning's logger on a stage's run, which ends with the stage and not with the training."""

    def finalize(self, status: str) -> None:
        """Leave the run open: a stage killed while it measures must find it again."""


def mlflow_logger(run_id: str) -> MLFlowLogger:
    """Return Lightning's logger on the stage's own run."""
    return StageLogger(tracking_uri=mlflow.get_tracking_uri(), run_id=run_id)
