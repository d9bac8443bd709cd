"""Pretrains the embedded tiny VLM on the micro-world, so that everything runs without a download.

The stage is frozen in `dvc.yaml`: its result is shipped with the repository's data, and nobody has
to train it again. Retrain with `dvc unfreeze base && dvc repro base` (about two hours on two
cores).
"""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from models.engine.checkpoints import WholeCheckpoints, newest_checkpoint
from models.engine.strategies import SpawnedDDP
from models.engine.whole import discard
from models.tiny.pretraining import PackedPretraining
from models.tiny.vlm import MERGE, PATCH, tiny_qwen3_vl
from models.vlm.loading import (
    ImageOnlyQwen3VLProcessor,
    load_model,
    load_processor,
    save_model,
)
from tasks.running.process import as_child, die_with_parent
from tasks.world import drawing
from tasks.world.lexicon import SIDE
from tasks.world.pretraining_data import Drawn, Resumable
from tasks.world.tokenizer import train_tokenizer

SAVE_EVERY = 400  # Lightning counts a step per optimiser: every 200 batches, about three minutes


class WorldData(L.LightningDataModule):
    """Each process draws its own pictures.

    Args:
        drawn: Makes the batches of a process from its `rank`.
    """

    def __init__(self, drawn: Callable[..., Dataset]):
        super().__init__()
        self.drawn = drawn

    def train_dataloader(self) -> Resumable:
        return Resumable(self.drawn(rank=self.trainer.global_rank))


class EndsWithStage(L.Callback):
    """A process of several is killed when its stage ends: it would work on for nobody."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """In each process, before it meets the others."""
        if trainer.world_size > 1:
            die_with_parent(signal.SIGKILL)
            os.environ |= as_child()  # for who draws pictures for it


def pretrain(
    scratch: Path,
    logger: Logger | bool,
    *,
    steps: int,
    perception_share: float,
    learning_rate: float,
    documents_steps: int,
    judgement_steps: int,
    refinement_steps: int,
    consolidation_steps: int,
    later_learning_rate: float,
    processes: int,
    compile: bool,
    seed: int,
    hidden: int,
    layers: int,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Train in five cycles, or go on from the checkpoints in `scratch`, and return the model.

    Args:
        steps: Optimiser steps of the first cycle; each shows 9 pictures per process.
        perception_share: Share of the first cycle that only asks plain questions about scenes.
        documents_steps: Steps of the second, shorter cycle, in one process, with more documents.
        judgement_steps: Steps of the third cycle, with more texts to compare with pictures.
        refinement_steps: Steps of the fourth cycle: closer pairs of texts, and tables cell by cell.
        consolidation_steps: Steps of the last cycle, with everything again.
        processes: Data-parallel processes with one thread each (two processes beat one process with
            two threads by 1.45x on two cores).
        compile: Compile the two towers (1.2x; needs a C compiler, two minutes once).
    """
    tokenizer = train_tokenizer()
    model = tiny_qwen3_vl(tokenizer, SIDE, hidden=hidden, layers=layers, seed=seed)
    torch.set_num_threads(1)
    perception = int(perception_share * steps)
    cycles = [
        ("everything", steps, learning_rate, 0.45, processes, 256),
        ("documents", documents_steps, later_learning_rate, 0.2, 1, 256),
        ("judgement", judgement_steps, later_learning_rate, 0.2, processes, 256),
        # longer rows: two answers of four sentences each often did not fit into 256 tokens
        ("refinement", refinement_steps, later_learning_rate, 0.3, processes, 320),
        ("consolidation", consolidation_steps, later_learning_rate, 0.2, processes, 320),
    ]
    head = None
    for number, (diet, batches, rate, hold, workers, row_length) in enumerate(cycles):
        module = PackedPretraining(
            model,
            len(drawing.PATCH_LABELS),
            batches,
            learning_rate=rate,
            hold=hold,
            compile=compile,
        )
        if head is not None:
            module.patch_head.load_state_dict(head)
        drawn = partial(
            Drawn,
            tokenizer,
            seed=seed + number,
            steps=batches,
            diet=diet,
            length=row_length,
            perception_steps=0 if number else perception,
        )
        fit_drawn(module, drawn, scratch / diet, logger, workers)
        model, head = module.model, module.patch_head.state_dict()
    return model, tokenizer


def go_on(
    folder: str,
    scratch: Path,
    logger: Logger | bool,
    *,
    diet: str,
    steps: int,
    learning_rate: float,
    hold: float,
    processes: int,
    seed: int,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Go on training a finished base on another diet: a phase from which an experiment starts.

    Args:
        folder: The base.
        diet: What its rows are drawn from, of `DIETS`; all that the base knows is among it.
        hold: Share of the steps before the rate falls.
    """
    model, tokenizer = load_model(folder), load_processor(folder).tokenizer
    torch.set_num_threads(1)
    module = PackedPretraining(
        model, len(drawing.PATCH_LABELS), steps, learning_rate=learning_rate, hold=hold
    )
    drawn = partial(Drawn, tokenizer, seed=seed, steps=steps, diet=diet, length=320)
    fit_drawn(module, drawn, scratch / diet, logger, processes)
    return module.model, tokenizer


def fit_drawn(
    module: PackedPretraining, drawn: Callable[..., Dataset], folder: Path,
    logger: Logger | bool, processes: int,
) -> None:  # fmt: skip
    """Train on batches that are drawn, or go on from the checkpoint in a folder.

    Args:
        drawn: Makes the batches of a process from its `rank`.
    """
    trainer = L.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy=SpawnedDDP(_new_store(folder)) if processes > 1 else "auto",
        precision=_precision(),
        max_epochs=1,
        logger=logger,
        callbacks=[
            EndsWithStage(),
            ModelCheckpoint(
                folder,
                save_last=True,
                every_n_train_steps=SAVE_EVERY,
                save_top_k=0,
                enable_version_counter=False,
            ),  # fmt: skip
        ],
        plugins=[WholeCheckpoints(), LightningEnvironment()],
        log_every_n_steps=20,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    last = newest_checkpoint(folder / "last.ckpt")  # here: the processes start with `fit`
    trainer.fit(module, datamodule=WorldData(drawn), ckpt_path=last, weights_only=True)


def _precision() -> Literal["bf16-mixed", "32-true"]:
    """Return bfloat16 where the CPU computes in it; emulated, a step takes 2.8 s instead of 1.9."""
    can = torch.cpu.get_capabilities()
    native = any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bf16-mixed" if native else "32-true"


def _new_store(folder: Path) -> Path:
    """Return where processes that are about to start can meet."""
    file = folder / "launch" / "store"
    discard(file)  # in an old one they would meet those of a killed training
    return file


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
