"""One training in this process of several: natively, or hosted. Started by test_two_processes.py.

Arguments: native or hosted; ddp or deepspeed; a kind of test_trl_module.py; the model folder; the
file that the first process writes its losses and weights to.
"""

import json
import os
import sys
from pathlib import Path


def main(how: str, strategy: str, kind: str, folder: str, report: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    if strategy == "deepspeed":
        os.environ["DS_ACCELERATOR"] = "cpu"

    import lightning as L
    import torch
    from lightning.pytorch.strategies import DDPStrategy

    from models.engine.meeting import meet_on_one_machine
    from models.engine.strategies import cpu_deepspeed
    from models.engine.trl_module import TRLModule
    from tasks.world.shards import make_sample
    from tests.models.engine.test_trl_module import STEPS, build, train_natively

    torch.set_num_threads(1)
    meet_on_one_machine(report.with_suffix(".store"), int(os.environ["RANK"]), 2, "gloo")
    samples = [make_sample(0, "train", "find", number) for number in range(16)]

    def make():
        return build(kind, folder, samples, report.parent)

    if how == "native":
        trainer = make()
        rows, model = train_natively(trainer)
        first = trainer.accelerator.is_main_process
    else:
        plan = {
            "ddp": lambda: DDPStrategy(process_group_backend="gloo", find_unused_parameters=True),
            "deepspeed": lambda: cpu_deepspeed(2),
        }
        module = TRLModule(make)
        trainer = L.Trainer(
            accelerator="cpu", devices=2, strategy=plan[strategy](), max_steps=STEPS, logger=False,
            accumulate_grad_batches=2, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, use_distributed_sampler=False,
            gradient_clip_val=1.0 if strategy == "deepspeed" else None,
        )  # fmt: skip
        trainer.fit(module)
        rows = [{k.removeprefix("train/"): v for k, v in row.items()} for row in module.history]
        model, first = module.model, trainer.is_global_zero
    if first:
        weights = {n: p.detach().double().norm().item() for n, p in model.named_parameters()}
        report.write_text(json.dumps({"losses": [r["loss"] for r in rows], "weights": weights}))
    torch.distributed.destroy_process_group()  # one that is left to the exit may abort it


if __name__ == "__main__":
    main(*sys.argv[1:5], Path(sys.argv[5]))
