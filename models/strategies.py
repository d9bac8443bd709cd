"""DeepSpeed under Lightning, on GPUs and (for tests and rehearsals) on CPUs."""

import torch
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy


def deepspeed(stage: int) -> DeepSpeedStrategy:
    """Return ZeRO stage 1 or 2; the micro-batch is named because Lightning cannot find TRL's."""
    return DeepSpeedStrategy(stage=stage, logging_batch_size_per_gpu=1)


def cpu_deepspeed(stage: int) -> DeepSpeedStrategy:
    """Return the same for processes on a CPU, which Lightning's strategy refuses."""

    class CPUDeepSpeedStrategy(DeepSpeedStrategy):
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
