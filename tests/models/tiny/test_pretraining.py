"""Pretraining learns, moves every parameter, and resumes as if it had never stopped."""

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from models.tiny.packing import IGNORED
from models.tiny.pretraining import UNKNOWN, PackedPretraining
from tasks.world import drawing
from tasks.world.pretraining_data import Drawn, Resumable

LABELS = len(drawing.PATCH_LABELS)


class Losses(L.Callback):
    """Keeps the losses of every step."""

    def __init__(self):
        self.answers: list[float] = []
        self.patches: list[float] = []

    def on_train_batch_end(self, trainer, *_):
        self.answers.append(trainer.callback_metrics["train/loss"].item())
        self.patches.append(trainer.callback_metrics["train/patch_loss"].item())


def fit(module: PackedPretraining, batches, *callbacks: L.Callback, resume=None) -> Losses:
    losses = Losses()
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=False,
        callbacks=[losses, *callbacks],
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, train_dataloaders=batches, ckpt_path=resume)
    return losses


@pytest.fixture(scope="module")
def data(tokenizer) -> Drawn:
    return Drawn(tokenizer, seed=0, rank=0, steps=6, perception_steps=3)


@pytest.fixture(scope="module")
def batch(data) -> dict[str, torch.Tensor]:
    return data[4]


def again(batch: dict[str, torch.Tensor], times: int) -> DataLoader:
    return DataLoader([batch] * times, batch_size=None)


def module_of(model, steps: int = 6, **changes) -> PackedPretraining:
    return PackedPretraining(model.train(), LABELS, steps, **changes)


def test_one_step_moves_every_parameter(tiny_model, batch):
    module = module_of(tiny_model())
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    fit(module, again(batch, 1))
    still = [name for name, p in module.named_parameters() if torch.equal(p, before[name])]
    assert len(before) > 25 and still == []
    assert {"patch_head.weight", "patch_head.bias"} < set(before)


def test_both_losses_fall_on_a_batch_that_is_shown_again_and_again(tiny_model, batch):
    module = module_of(tiny_model(), steps=100, warmup_steps=1, learning_rate=5e-3)
    losses = fit(module, again(batch, 15))
    assert losses.answers[-1] < 0.75 * losses.answers[0]
    assert losses.patches[-1] < 0.75 * losses.patches[0]
    assert losses.answers[0] == pytest.approx(6.5, abs=0.5)  # nothing is known: ln(704)


# the checkpoint after the optimiser steps is the one that a run goes on from
@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_resumed_run_has_the_losses_of_the_uninterrupted_one(tiny_model, data, tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    whole = fit(module_of(tiny_model()), Resumable(data), keep).answers
    # two optimisers step per batch, so Lightning counts six steps after three batches
    middle = tmp_path / "step=6.ckpt"
    rest = fit(module_of(tiny_model(seed=9)), Resumable(data), resume=middle).answers
    assert len(whole) == 6 and len(rest) == 3
    assert rest == pytest.approx(whole[3:], rel=1e-6)
    assert len(set(whole)) == 6


def test_the_losses_equal_a_plain_computation(tiny_model, batch):
    module = module_of(tiny_model(weight_scale=2)).eval()
    with torch.no_grad():
        answer_loss, patch_loss = module.losses(batch)
        hidden, patches = module(batch)
        logits, labels = module.model.lm_head(hidden)[:, :-1], batch["labels"][:, 1:]
        every_token = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        scores, truth = module.patch_head(patches), batch["patch_labels"].flatten(0, 1)
        known = truth[:, 0] != UNKNOWN
        errors = F.binary_cross_entropy_with_logits(scores[known], truth[known].float())
    torch.testing.assert_close(answer_loss, every_token)
    torch.testing.assert_close(patch_loss, 20 * errors)
    assert 0 < known.sum() <= len(known)


def test_patches_of_unknown_content_teach_nothing(tiny_model, batch):
    module = module_of(tiny_model())
    unknown = torch.full_like(batch["patch_labels"], UNKNOWN)
    _, patch_loss = module.losses(batch | {"patch_labels": unknown})
    assert patch_loss.item() == 0


def test_matrices_are_stepped_by_muon_and_every_parameter_by_exactly_one_optimizer(tiny_model):
    module = module_of(tiny_model())
    (muon, adamw), _ = module.configure_optimizers()
    assert isinstance(muon, torch.optim.Muon) and isinstance(adamw, torch.optim.AdamW)
    names = {id(p): name for name, p in module.named_parameters()}
    stepped = [[names[id(p)] for g in o.param_groups for p in g["params"]] for o in (muon, adamw)]
    assert sorted(stepped[0] + stepped[1]) == sorted(names.values())
    assert all("proj" in name or "linear" in name or "qkv" in name for name in stepped[0])
    assert any("embed_tokens" in name for name in stepped[1])
    assert any("patch_head" in name for name in stepped[1])


def test_the_rate_warms_up_holds_and_decays_to_a_fiftieth(tiny_model):
    module = module_of(tiny_model(), steps=1000, learning_rate=1e-3, warmup_steps=50, hold=0.5)
    (muon, _), (schedule, _) = module.configure_optimizers()
    rates = []
    for _ in range(1000):
        rates.append(muon.param_groups[0]["lr"])
        muon.step()
        schedule.step()
    assert rates[0] == pytest.approx(1e-3 / 50) and rates[49] == pytest.approx(1e-3)
    assert set(rates[50:500]) == {1e-3}
    assert all(a >= b for a, b in zip(rates[500:], rates[501:], strict=False))
    assert rates[750] == pytest.approx(0.5e-3) and rates[-1] == pytest.approx(2e-5)
