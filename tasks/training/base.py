"""Pretrains the embedded tiny VLM on the micro-world, so that everything runs without a download.

The stage is frozen in `dvc.yaml`: its result is shipped with the repository's data, and nobody has
to train it again. Retrain with `dvc unfreeze base && dvc repro base` (about 80 minutes on two
cores).
"""

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from models.loading import ImageOnlyQwen3VLProcessor, save_model
from models.pretraining import PackedPretraining
from models.tiny_vlm import MERGE, PATCH, tiny_qwen3_vl
from tasks.world import drawing
from tasks.world.lexicon import SIDE
from tasks.world.pretraining_data import Drawn, Resumable
from tasks.world.tokenizer import train_tokenizer

SAVE_EVERY = 400  # Lightning counts a step per optimiser: every 200 batches, about three minutes


class WorldData(L.LightningDataModule):
    """Each process draws its own pictures."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, seed: int, steps: int, perception: int):
        super().__init__()
        self.tokenizer, self.seed, self.steps, self.perception = tokenizer, seed, steps, perception

    def train_dataloader(self) -> Resumable:
        rank = self.trainer.global_rank
        return Resumable(Drawn(self.tokenizer, self.seed, rank, self.steps, self.perception))


def pretrain(
    scratch: Path,
    logger: Logger | bool,
    *,
    steps: int,
    perception_share: float,
    learning_rate: float,
    processes: int,
    compile: bool,
    seed: int,
    hidden: int,
    layers: int,
) -> tuple[PackedPretraining, PreTrainedTokenizerBase]:
    """Train, or go on training from the checkpoint in `scratch`, and return the trained module.

    Args:
        steps: Optimiser steps; each shows 9 pictures per process.
        perception_share: Share of the steps that only ask plain questions about scenes.
        processes: Data-parallel processes with one thread each (two processes beat one process with
            two threads by 1.45x on two cores).
        compile: Compile the two towers (1.2x; needs a C compiler, two minutes once).
    """
    tokenizer = train_tokenizer()
    model = tiny_qwen3_vl(tokenizer, SIDE, hidden=hidden, layers=layers, seed=seed)
    module = PackedPretraining(
        model, len(drawing.PATCH_LABELS), steps, learning_rate=learning_rate, compile=compile
    )
    torch.set_num_threads(1)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_spawn" if processes > 1 else "auto",
        precision="bf16-mixed",
        max_epochs=1,
        logger=logger,
        callbacks=[
            ModelCheckpoint(scratch, save_last=True, every_n_train_steps=SAVE_EVERY, save_top_k=0)
        ],
        log_every_n_steps=20,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    last = scratch / "last.ckpt"
    data = WorldData(tokenizer, seed, steps, int(perception_share * steps))
    trainer.fit(module, datamodule=data, ckpt_path=last if last.exists() else None)
    return module, tokenizer


def save_base(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the model with its processor as an ordinary Hugging Face folder."""
    images = Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=1,
        size={"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = ImageOnlyQwen3VLProcessor(
        image_processor=images, tokenizer=tokenizer, chat_template=tokenizer.chat_template
    )
    save_model(model, processor, folder)
