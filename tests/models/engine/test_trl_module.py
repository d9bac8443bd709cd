"""Lightning hosting TRL equals TRL alone, step by step, and a killed run resumes where it was."""

import logging
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch
import transformers
from datasets import Dataset
from lightning.pytorch.callbacks import ModelCheckpoint
from peft import LoraConfig
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    RLOOConfig,
    RLOOTrainer,
    SFTConfig,
    SFTTrainer,
)

from models.engine.trl_module import TRLModule
from models.prefix.shared import share_prefix
from models.vlm.loading import load_model, load_processor
from tasks.asking.coordinates import Coordinates
from tasks.records.rows import Sample
from tasks.training.conversations import assistant_turn
from tasks.training.grpo import grpo_dataset
from tasks.training.objective import TRL_DEFAULTS
from tasks.world.shards import make_sample

STEPS = 4
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [make_sample(0, "train", "find", number) for number in range(12)]


def spread_of_letters(completions, **_) -> list[float]:
    """A reward with different values for nearly every random answer."""
    return [len(set(c[0]["content"])) / 10 for c in completions]


KINDS = ["sft", "dpo", "grpo", "rloo", "grpo iterations", "sft lora", "dpo lora", "grpo lora"]


def build(kind: str, folder: str, samples: list[Sample], out: Path):
    """Return TRL's trainer of a kind; "lora" adds an adapter, "iterations" reuses generations."""
    model, processor = load_model(folder), load_processor(folder)
    method, *variant = kind.split()
    adapter = None
    if variant == ["lora"]:
        targets = ["q_proj", "v_proj", "down_proj"]
        adapter = LoraConfig(r=4, target_modules=targets, init_lora_weights="gaussian")
        torch.manual_seed(3)
    common = TRL_DEFAULTS | {
        "output_dir": str(out),
        "use_cpu": True,
        "max_steps": STEPS,
        "learning_rate": 1e-3,
        "seed": 7,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
    }
    data = grpo_dataset(samples, Coordinates(100))
    answers = [assistant_turn(s.answer) for s in samples]
    if method == "sft":
        data = data.select_columns(["prompt", "images"]).add_column("completion", answers)
        config = SFTConfig(**common, max_length=None)
        return SFTTrainer(
            model, config, train_dataset=data, processing_class=processor, peft_config=adapter
        )
    if method == "dpo":
        worse = [assistant_turn(f"{i} objects") for i in range(len(samples))]
        data = data.select_columns(["prompt", "images"])
        data = data.add_column("chosen", answers).add_column("rejected", worse)
        config = DPOConfig(**common, max_length=None)
        reference = None if adapter else load_model(folder)
        return DPOTrainer(
            model, reference, config, train_dataset=data, processing_class=processor,
            peft_config=adapter,
        )  # fmt: skip
    common["per_device_train_batch_size"] = 4
    if method == "rloo":
        config = RLOOConfig(**common, num_generations=4, max_completion_length=8, beta=0.04)
        return RLOOTrainer(
            model, spread_of_letters, config, train_dataset=data, processing_class=processor
        )
    if variant == ["iterations"]:
        common |= {"num_iterations": 2, "steps_per_generation": 4}
    config = GRPOConfig(
        **common, num_generations=4, max_completion_length=8, beta=0.04, loss_type="grpo",
    )  # fmt: skip
    return GRPOTrainer(
        model, spread_of_letters, config, train_dataset=data, processing_class=processor,
        peft_config=adapter,
    )  # fmt: skip


class Rows(transformers.TrainerCallback):
    """Collects what native TRL logs."""

    def __init__(self):
        self.rows = []

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.rows.append(dict(logs))


def train_natively(trainer) -> tuple[list[dict], torch.nn.Module]:
    rows = Rows()
    trainer.add_callback(rows)
    trainer.train()
    return rows.rows, trainer.model


def train_hosted(make, steps=STEPS, checkpoint=None, callbacks=()) -> TRLModule:
    module = TRLModule(make)
    trainer = L.Trainer(
        accelerator="cpu", devices=1, max_steps=steps, accumulate_grad_batches=2, logger=False,
        callbacks=list(callbacks), enable_checkpointing=bool(callbacks), enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, ckpt_path=checkpoint, weights_only=False)
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_hosted_training_equals_native_training(kind, model_folder, samples, tmp_path):
    native, expected = train_natively(build(kind, model_folder, samples, tmp_path))
    module = train_hosted(lambda: build(kind, model_folder, samples, tmp_path))
    hosted = [{k.removeprefix("train/"): v for k, v in row.items()} for row in module.history]
    assert len(native) == len(hosted) == STEPS
    times = {"step_time", "epoch"}
    for step, (a, b) in enumerate(zip(native, hosted, strict=True)):
        assert {"loss", "grad_norm"} <= a.keys() and a.keys() - times <= b.keys(), step
        for name in a.keys() - times:
            assert float(b[name]) == pytest.approx(float(a[name]), abs=1e-5, rel=1e-4), (step, name)
    for (name, a), b in zip(expected.named_parameters(), module.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo", "dpo lora", "grpo lora"])
def test_sharing_prefixes_changes_no_training(kind, model_folder, samples, tmp_path):
    """With the reference model, separate or without its adapter; answers are sampled plainly."""
    plain, expected = train_natively(build(kind, model_folder, samples, tmp_path))
    trainer = build(kind, model_folder, samples, tmp_path)
    sharing = [share_prefix(trainer.model)]
    if getattr(trainer, "ref_model", None) is not None:
        sharing.append(share_prefix(trainer.ref_model))
    shared, model = train_natively(trainer)
    assert kind == "sft" or all(0 < one.computed < one.given for one in sharing)
    for a, b in zip(plain, shared, strict=True):
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), abs=1e-5)
        assert float(b["grad_norm"]) == pytest.approx(float(a["grad_norm"]), rel=1e-3)
    for (name, a), b in zip(expected.named_parameters(), model.parameters(), strict=True):
        # Adam turns rounding of a gradient near zero into a step of its whole rate
        assert (a - b).norm() <= 1e-3 * a.norm() + 1e-4, name


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_resuming_gives_the_same_steps_as_never_stopping(kind, model_folder, samples, tmp_path):
    def make():
        return build(kind, model_folder, samples, tmp_path)

    keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    whole = train_hosted(make, callbacks=[keep])
    resumed = train_hosted(make, checkpoint=tmp_path / "step=2.ckpt")
    assert [row["step"] for row in resumed.history] == [1, 2, 3, 4]
    for a, b in zip(whole.history[2:], resumed.history[2:], strict=True):
        assert b == pytest.approx(a, abs=1e-6)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_accumulation_that_contradicts_is_refused(model_folder, samples, tmp_path):
    module = TRLModule(lambda: build("sft", model_folder, samples, tmp_path))
    trainer = L.Trainer(
        accelerator="cpu", max_steps=1, accumulate_grad_batches=3, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with pytest.raises(ValueError, match="same number"):
        trainer.fit(module)


def test_every_column_a_reward_reads_is_in_the_dataset(samples):
    ground = make_sample(0, "train", "ground", 0)
    count = make_sample(0, "train", "count", 0)
    table = make_sample(0, "train", "table_reasoned", 0)
    data: Dataset = grpo_dataset([samples[0], ground, count, table], Coordinates(100))
    assert [row["tagged"] for row in data] == [True, None, None, True]
    assert [row["boxes"] is None for row in data] == [False, True, True, True]
    assert [row["box"] is None for row in data] == [True, False, True, True]
    assert [row["answer"] for row in data] == [None, None, count.answer, None]
    assert [row["final"] for row in data] == [None, None, None, table.final]
