"""Processes under Lightning: spawned ones that meet in a file, and DeepSpeed on GPUs and CPUs."""

import tempfile
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy

from models.engine.checkpoints import all_digests, content_digests, seal
from models.engine.meeting import meet_nobody, meet_on_one_machine, refuse_strangers
from models.engine.whole import discard, partial, swap


class SpawnedDDP(DDPStrategy):
    """Processes of one machine's CPUs that Lightning spawns and that meet in a file.

    Args:
        store: The file (see `meet_on_one_machine`).
    """

    def __init__(self, store: Path):
        super().__init__(start_method="spawn", process_group_backend="gloo")
        self.store = store

    def setup_distributed(self) -> None:
        """Meet before Lightning looks; it takes what is there."""
        tempfile.tempdir = str(self.store.parent)  # the trained weights travel back through it
        self.set_world_ranks()
        meet_on_one_machine(self.store, self.global_rank, self.world_size, "gloo")
        super().setup_distributed()


class SealedDeepSpeed(DeepSpeedStrategy):
    """DeepSpeed with checkpoints that are whole and sealed, in processes that have already met."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        """Write a folder beside the one it replaces; the former one stays as the one before."""
        target = Path(self.broadcast(str(filepath)))
        written = partial(target)
        if self.is_global_zero:
            discard(written)  # a kill left it
        self.barrier()
        super().save_checkpoint(checkpoint, written, storage_options)
        self.barrier()  # all have written; now each looks at a share of the files
        shares: list[Any] = [None] * self.world_size
        digests = content_digests(written, self.global_rank, self.world_size)
        dist.all_gather_object(shares, digests)
        if self.is_global_zero:
            seal(written, all_digests(shares))
            swap(target, keep=True)
        self.barrier()

    def setup(self, trainer: L.Trainer) -> None:
        super().setup(trainer)
        refuse_strangers()  # the engine has made groups of its own

    def _init_deepspeed_distributed(self) -> None:
        # one process has nobody to meet: DeepSpeed itself would open a port for it
        if self.world_size == 1 and not dist.is_initialized():
            meet_nobody(self._get_process_group_backend())
        super()._init_deepspeed_distributed()


def deepspeed(stage: int) -> DeepSpeedStrategy:
    """Return ZeRO stage 1 or 2; the micro-batch is named because Lightning cannot find TRL's."""
    return SealedDeepSpeed(stage=stage, logging_batch_size_per_gpu=1)


def cpu_deepspeed(stage: int) -> DeepSpeedStrategy:
    """Return the same for processes on a CPU, which Lightning's strategy refuses."""

    class CPUDeepSpeedStrategy(SealedDeepSpeed):
        def setup_environment(self) -> None:
            DDPStrategy.setup_environment(self)

        def setup_distributed(self) -> None:
            self.set_world_ranks()
            self._init_deepspeed_distributed()

        @property
        def root_device(self) -> torch.device:
            return torch.device("cpu", 0)  # DeepSpeed wants a device with an index

    return CPUDeepSpeedStrategy(
        stage=stage, logging_batch_size_per_gpu=1, process_group_backend="gloo"
    )
