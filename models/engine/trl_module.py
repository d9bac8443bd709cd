"""Lightning hosts a TRL trainer: Lightning owns the loop, TRL owns the objective.

`training_step` calls TRL's public `training_step` with the accelerator's `backward` replaced by a
capture of the loss; Lightning does backward, clipping, stepping, precision, checkpoints and
logging. Loss and every metric equal those of `trainer.train()`
(tests/models/engine/test_trl_module.py).
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
import transformers
from accelerate import skip_first_batches
from accelerate.utils import gather_object
from lightning.pytorch.callbacks import ModelCheckpoint
from trl.trainer.utils import RepeatSampler

from models.engine.whole import written_whole

COUNTERS = ("_step", "_total_train_tokens")  # what TRL's trainers count themselves, if they do
UNLOGGED = ("step", "epoch", "step_time")  # a time would make equal runs differ


class Windows:
    """TRL's data loader under Lightning: micro-batches with the facts of their accumulation window.

    Lightning never exhausts a sized loader's generator and keeps no position in it; this one does.

    Args:
        restore_random_state: Is called before an epoch that a resumed training begins with.
    """

    def __init__(self, trainer: transformers.Trainer, restore_random_state: Callable[[], None]):
        self.restore_random_state = restore_random_state
        self.trl, self.loader = trainer, trainer.get_train_dataloader()
        self.done = self.epoch = 0
        self._restored = False

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Any, Any, int, bool]]:
        window = self.trl.args.gradient_accumulation_steps
        if self.done >= len(self):
            self.done, self.epoch = 0, self.epoch + 1
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(self.epoch)
        if self._restored:
            self._draw_past_orders()
            if not self.done:  # the loader's iterator, made next, draws a number
                self.restore_random_state()
        batches = iter(skip_first_batches(self.loader, self.done) if self.done else self.loader)
        while self.done < len(self):
            size = min(window, len(self) - self.done)
            taken, items = self.trl.get_batch_samples(batches, size, self.trl.args.device)
            if not taken:
                return
            for i, batch in enumerate(taken):
                self.done += 1
                yield batch, items, len(taken), i + 1 == len(taken)

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.done, self.epoch, self._restored = state["done"], state["epoch"], True

    def _draw_past_orders(self) -> None:
        """Bring TRL's sampler to this epoch: it draws an order per epoch from one generator."""
        self._restored, sampler = False, self.loader
        while sampler is not None and not isinstance(sampler, RepeatSampler):
            sampler = getattr(sampler, "batch_sampler", None) or getattr(sampler, "sampler", None)
        if sampler is not None and sampler.shuffle:
            for _ in range(self.epoch):
                torch.randperm(sampler.num_samples, generator=sampler.generator)


class WindowCheckpoint(ModelCheckpoint):
    """Saves between steps only, and after a look where one is due.

    Lightning's own callback, after a resume, also saves in the middle of an accumulation window,
    whose gradients no checkpoint holds; and it saves before a look, which a training that goes on
    from there does not take again: its score would be lost, and with it the best step. List it
    behind all that looks at a score, whose states it saves.
    """

    _look_due = False

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: "TRLModule", outputs: Any, batch: tuple, batch_idx: int
    ) -> None:
        batches = trainer.fit_loop.total_batch_idx + 1
        looks = sum(trainer.num_val_batches) and trainer.enable_validation
        self._look_due = bool(batch[-1] and looks and batches % trainer.val_check_batch == 0)
        if batch[-1] and not self._look_due:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: L.Trainer, pl_module: "TRLModule") -> None:
        if self._look_due:
            self._look_due = False
            super().on_train_batch_end(trainer, pl_module, None, None, 0)


class TRLModule(L.LightningModule):
    """Hosts the TRL trainer that `build` returns.

    Args:
        build: Builds the trainer. It runs in `setup`, after Lightning has prepared the devices,
            because accelerate reads the process layout when TRL's configuration is created.
    """

    def __init__(self, build: Callable[[], transformers.Trainer]):
        super().__init__()
        self.build = build
        self.trl: transformers.Trainer | None = None
        self._loss: torch.Tensor | None = None
        self._losses: list[torch.Tensor] = []
        self._norm = torch.tensor(0.0)
        self._rate = 0.0
        self._restored: dict[str, Any] | None = None
        self._random_state: tuple[torch.Tensor, torch.Tensor | None] | None = None
        self.history: list[dict[str, float]] = []  # every logged metric by step

    # ---- construction ----------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        if self.trl is not None:
            return
        if self.trainer.world_size > 1:  # accelerate reads the layout from the environment
            layout = {
                "RANK": self.global_rank,
                "WORLD_SIZE": self.trainer.world_size,
                "LOCAL_RANK": self.local_rank,
                "LOCAL_WORLD_SIZE": self.trainer.num_devices,
            }
            os.environ.update({name: str(value) for name, value in layout.items()})
        self.trl = trl = self.build()
        if trl.accelerator.num_processes != self.trainer.world_size:
            raise RuntimeError(
                f"TRL sees {trl.accelerator.num_processes} processes and Lightning "
                f"{self.trainer.world_size}: the trainer was built before Lightning joined them"
            )
        if trl.args.gradient_accumulation_steps != self.trainer.accumulate_grad_batches:
            raise ValueError(
                f"TRL accumulates {trl.args.gradient_accumulation_steps} batches and Lightning "
                f"{self.trainer.accumulate_grad_batches}; both must be the same number"
            )
        trl.remove_callback(transformers.PrinterCallback)  # Lightning does the logging
        self.model = trl.model
        self._frequencies = {
            name: buffer.clone()
            for name, buffer in trl.model.named_buffers()
            if name.endswith("inv_freq")
        }
        trl.accelerator.backward = self._capture
        self.windows = Windows(trl, self._restore_random_state)
        if self._engine_accumulates and len(self.windows) % self.trainer.accumulate_grad_batches:
            raise ValueError(
                f"DeepSpeed accumulates {self.trainer.accumulate_grad_batches} parts of a batch, "
                f"and an epoch has {len(self.windows)}: its last step would be torn. Choose "
                "`trainer.accumulate` so that it divides them, or use the strategy ddp"
            )
        trl.state.max_steps = self.trainer.max_steps
        if self._restored:
            self._restore_trl(self._restored)

    def _capture(self, loss: torch.Tensor, **_: Any) -> None:
        self._loss = loss

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.trl.create_optimizer()
        scheduler = self.trl.create_scheduler(self.trl.state.max_steps, optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self._rate = optimizer.param_groups[0]["lr"]  # the scheduler moves on before the step ends

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        limit = gradient_clip_val or self.trl.args.max_grad_norm
        if limit and not self._engine_accumulates:  # DeepSpeed clips its own shards
            self._norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)

    # ---- data ------------------------------------------------------------------------------------

    def train_dataloader(self) -> Windows:
        return self.windows

    def val_dataloader(self) -> Any:
        return [] if self.trl.eval_dataset is None else self.trl.get_eval_dataloader()

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        return batch  # TRL moves its own inputs

    # ---- loop ------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        # DeepSpeed's precision casts a model whole; rounded frequencies turn positions by radians
        for name, buffer in self.model.named_buffers():
            if name in self._frequencies:
                buffer.data = self._frequencies[name].to(buffer.device)

    def on_train_start(self) -> None:
        self.trl.control = self.trl.callback_handler.on_train_begin(
            self.trl.args, self.trl.state, self.trl.control
        )

    def training_step(self, batch: tuple, batch_idx: int) -> torch.Tensor:
        (inputs, items, window, last), trl = batch, self.trl
        # in the middle of an epoch here: that its iterator is made again draws numbers
        self._restore_random_state()
        trl.state.global_step = self.trainer.global_step
        trl.current_gradient_accumulation_steps = window
        trl.accelerator.gradient_state._set_sync_gradients(last)
        trl.training_step(self.model, inputs, items)  # generation, rewards, loss
        loss, self._loss = self._loss, None
        if not torch.isfinite(loss):
            self._stop_at(loss, inputs)
        self._losses.append(loss.detach())
        # TRL has scaled for accumulation already: undo Lightning's division, and DeepSpeed's
        divisions = 2 if self._engine_accumulates else 1
        return loss * self.trainer.accumulate_grad_batches**divisions

    @property
    def _engine_accumulates(self) -> bool:
        return getattr(self.trainer.strategy, "handles_gradient_accumulation", False)

    def _stop_at(self, loss: torch.Tensor, inputs: Any) -> None:
        step = self.trainer.global_step
        file = Path(self.trl.args.output_dir) / f"batch_with_{loss.item()}_loss_at_step_{step}.pt"
        with written_whole(file) as stream:
            torch.save(inputs, stream)
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {step}: the learning rate may be too high, or an "
            f"example broken. Its batch is in {file}; lower the rate or set the example aside, "
            "then start again"
        )

    def on_train_batch_end(self, outputs: Any, batch: tuple, batch_idx: int) -> None:
        if not batch[-1]:
            return
        trl = self.trl
        trl.state.global_step = self.trainer.global_step
        trl.state.epoch = self.current_epoch + (batch_idx + 1) / len(self.windows)
        trl.control = trl.callback_handler.on_step_end(trl.args, trl.state, trl.control)
        self._record()
        if self.history and self.history[-1]["step"] == trl.state.global_step:
            self.log_dict({k: v for k, v in self.history[-1].items() if k != "step"}, batch_size=1)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss, _, _ = self.trl.prediction_step(self.model, batch, prediction_loss_only=True)
        self.log("val/loss", loss, sync_dist=True, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        self.trl.log({})  # the metrics of evaluation, because the model is in that mode
        row = self.trl.state.log_history.pop()
        numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
        looked = {
            f"val/{k.removeprefix('eval_')}": v for k, v in numbers.items() if k.startswith("eval_")
        }
        self.log_dict(looked, batch_size=1)

    def _record(self) -> None:
        """Add the finished step to the history, once; a checkpoint is written before it ends."""
        step, trl = self.trainer.global_step, self.trl
        if step % trl.args.logging_steps or not self._losses:
            return
        trl.log({})  # TRL averages its metrics into a row of its history; Lightning logs them
        row = trl.state.log_history.pop()
        loss = torch.stack(self._losses).sum() / trl.args.logging_steps
        if self.trainer.world_size > 1:
            loss = trl.accelerator.reduce(loss, "mean")
        row |= {"loss": loss.item()}
        row["learning_rate"] = self._rate
        if not self._engine_accumulates:  # DeepSpeed clips, and keeps the norm to itself
            row["grad_norm"] = float(self._norm)
        self._losses.clear()
        numbers = {k: v for k, v in row.items() if isinstance(v, int | float)}
        metrics = {f"train/{k}": float(v) for k, v in numbers.items() if k not in UNLOGGED}
        self.history.append({"step": step} | metrics)

    # ---- state -----------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._record()
        # Lightning keeps no random state; sampling needs that of every process and of its device:
        # what another process sees of this device is a generator that it never used
        of_device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        states = [(torch.get_rng_state(), of_device)]
        if self.trainer.world_size > 1:
            states = gather_object(states)
        checkpoint["trl"] = {
            "counters": {
                name: getattr(self.trl, name) for name in COUNTERS if hasattr(self.trl, name)
            },
            "tokens": self.trl.state.num_input_tokens_seen,
            "history": self.history,
            "rng": states,
        }
        named = self.model.named_parameters(remove_duplicate=False)  # tied ones have two names
        frozen = {f"model.{name}" for name, p in named if not p.requires_grad}
        if any("lora_" in name for name in checkpoint.get("state_dict", ())):
            for name in frozen:  # they are in the base model; a checkpoint is 50 times smaller
                checkpoint["state_dict"].pop(name, None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint["trl"]
        self.history = self._restored["history"]
        states = self._restored["rng"]
        if len(states) == self.trainer.world_size:
            self._random_state = states[self.global_rank]
        # under DeepSpeed the engine restores the weights, and there is no such entry
        if any("lora_" in name for name in checkpoint.get("state_dict", ())):
            self.strict_loading = False
        if self.trl is not None:
            self._restore_trl(self._restored)

    def _restore_random_state(self) -> None:
        if self._random_state is not None:
            own, of_device = self._random_state
            torch.set_rng_state(own)
            if of_device is not None and torch.cuda.is_available():
                torch.cuda.set_rng_state(of_device)
            self._random_state = None

    def _restore_trl(self, state: dict[str, Any]) -> None:
        for name, count in state["counters"].items():
            setattr(self.trl, name, count)
        self.trl.state.num_input_tokens_seen = state["tokens"]
