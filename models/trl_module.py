"""Lightning hosts a TRL trainer: Lightning owns the loop, TRL owns the objective.

`training_step` calls TRL's public `training_step` with the accelerator's `backward` replaced by a
capture of the loss; Lightning does backward, clipping, stepping, precision, checkpoints and
logging. Loss and every metric equal those of `trainer.train()` (tests/models/test_trl_module.py).
"""

from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
import torch
import transformers
from accelerate import skip_first_batches

UNLOGGED = ("step", "epoch", "step_time")  # a time would make equal runs differ


class Windows:
    """TRL's data loader under Lightning: micro-batches with the facts of their accumulation window.

    Lightning never exhausts a sized loader's generator and keeps no position in it; this one does.
    """

    def __init__(self, trainer: transformers.Trainer):
        self.trl, self.loader = trainer, trainer.get_train_dataloader()
        self.done = self.epoch = 0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Any, Any, int, bool]]:
        window = self.trl.args.gradient_accumulation_steps
        if self.done >= len(self):
            self.done, self.epoch = 0, self.epoch + 1
        if hasattr(self.loader, "set_epoch"):
            self.loader.set_epoch(self.epoch)
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
        self.done, self.epoch = state["done"], state["epoch"]


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
        self._random_state: torch.Tensor | None = None
        self.history: list[dict[str, float]] = []  # every logged metric by step

    # ---- construction ----------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        if self.trl is not None:
            return
        self.trl = trl = self.build()
        if trl.args.gradient_accumulation_steps != self.trainer.accumulate_grad_batches:
            raise ValueError(
                f"TRL accumulates {trl.args.gradient_accumulation_steps} batches and Lightning "
                f"{self.trainer.accumulate_grad_batches}; both must be the same number"
            )
        trl.remove_callback(transformers.PrinterCallback)  # Lightning does the logging
        self.model = trl.model
        trl.accelerator.backward = self._capture
        self.windows = Windows(trl)
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
        if limit:
            self._norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)

    # ---- data ------------------------------------------------------------------------------------

    def train_dataloader(self) -> Windows:
        return self.windows

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        return batch  # TRL moves its own inputs

    # ---- loop ------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        self.trl.control = self.trl.callback_handler.on_train_begin(
            self.trl.args, self.trl.state, self.trl.control
        )

    def training_step(self, batch: tuple, batch_idx: int) -> torch.Tensor:
        (inputs, items, window, last), trl = batch, self.trl
        if self._random_state is not None:  # here, because making a loader's iterator draws numbers
            torch.set_rng_state(self._random_state)
            self._random_state = None
        trl.state.global_step = self.trainer.global_step
        trl.current_gradient_accumulation_steps = window
        trl.accelerator.gradient_state._set_sync_gradients(last)
        trl.training_step(self.model, inputs, items)  # generation, rewards, loss
        loss, self._loss = self._loss, None
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.trainer.global_step}"
            )
        self._losses.append(loss.detach())
        # TRL has scaled for accumulation already: undo Lightning's division
        return loss * self.trainer.accumulate_grad_batches

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

    def _record(self) -> None:
        """Add the finished step to the history, once; a checkpoint is written before it ends."""
        step, trl = self.trainer.global_step, self.trl
        if step % trl.args.logging_steps or not self._losses:
            return
        trl.log({})  # TRL averages its metrics into a row of its history; Lightning logs them
        row = trl.state.log_history.pop()
        row |= {"loss": torch.stack(self._losses).sum().item() / trl.args.logging_steps}
        row |= {"grad_norm": float(self._norm), "learning_rate": self._rate}
        self._losses.clear()
        numbers = {k: v for k, v in row.items() if isinstance(v, int | float)}
        metrics = {f"train/{k}": float(v) for k, v in numbers.items() if k not in UNLOGGED}
        self.history.append({"step": step} | metrics)

    # ---- state -----------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._record()
        checkpoint["trl"] = {
            "step": getattr(self.trl, "_step", None),
            "tokens": self.trl.state.num_input_tokens_seen,
            "history": self.history,
            "rng": torch.get_rng_state(),  # Lightning keeps no random state; sampling needs it
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint["trl"]
        self.history = self._restored["history"]
        self._random_state = self._restored["rng"]
        if self.trl is not None:
            self._restore_trl(self._restored)

    def _restore_trl(self, state: dict[str, Any]) -> None:
        if state["step"] is not None:
            self.trl._step = state["step"]
        self.trl.state.num_input_tokens_seen = state["tokens"]
