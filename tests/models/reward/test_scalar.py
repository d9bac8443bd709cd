"""A scalar reward model learns from pictures, hosted by Lightning like every other trainer."""

import random

import lightning as L
import pytest
import torch
from datasets import Dataset, Features
from PIL import Image
from trl import RewardConfig

from models.engine.trl_module import TRLModule
from models.prefix.shared import share_prefix
from models.reward.scalar import (
    HEADS,
    PairCollator,
    VisualRewardTrainer,
    scalar_reward_model,
    scores,
)
from models.vlm.loading import load_model, load_processor, save_model
from tasks.records.images import to_png
from tasks.records.rows import PICTURES
from tasks.training.conversations import MESSAGES, pictures, user_turn
from tasks.training.objective import TRL_DEFAULTS

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
SIDES = Features(
    {"chosen": MESSAGES, "images": PICTURES, "rejected": MESSAGES, "rejected_images": PICTURES}
)


def answers(good: str, bad: str) -> tuple[str, str, str, str]:
    """Which answer to a picture is better: one picture, two texts."""
    asked = "What color is it?\n"
    return asked + good, good, asked + bad, good


def drawn(good: str, bad: str) -> tuple[str, str, str, str]:
    """Which picture of a caption is better: one text, two pictures."""
    return f"Is it {good}?", good, f"Is it {good}?", bad


def rows_of(kind) -> Dataset:
    rng, rows = random.Random(0), []
    for _ in range(64):
        good, bad = rng.sample(list(COLORS), 2)
        chosen, shown, rejected, other = kind(good, bad)
        first, second = (to_png(Image.new("RGB", (96, 96), COLORS[c])) for c in (shown, other))
        rows.append({
            "chosen": user_turn(chosen), "images": pictures([first]),
            "rejected": user_turn(rejected), "rejected_images": pictures([second]),
        })  # fmt: skip
    return Dataset.from_list(rows, features=SIDES)


@pytest.mark.parametrize("kind", [answers, drawn])
def test_it_learns_what_only_the_picture_tells(model_folder, kind, tmp_path):
    processor, pairs = load_processor(model_folder), rows_of(kind)
    sharing = []

    def build():
        torch.manual_seed(0)
        model = scalar_reward_model(load_model(model_folder))
        sharing.append(share_prefix(model))
        config = RewardConfig(
            **TRL_DEFAULTS, output_dir=str(tmp_path), use_cpu=True, max_steps=60, seed=0,
            per_device_train_batch_size=8, learning_rate=2e-3, max_length=None,
        )  # fmt: skip
        return VisualRewardTrainer(model, config, processor, train_dataset=pairs)

    module = TRLModule(build)
    trainer = L.Trainer(
        accelerator="cpu", devices=1, max_steps=60, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module)
    accuracy = [row["train/accuracy"] for row in module.history[-5:]]
    assert sum(accuracy) / 5 > 0.95
    assert sharing[0].computed < sharing[0].given  # what stands in several is read once
    batch = PairCollator(processor)([pairs[i] for i in range(8)])
    network = module.model.eval()
    chosen, rejected = scores(network, batch).chunk(2)
    with torch.no_grad():  # what the loss of the training saw
        assert torch.allclose(
            network(**batch).logits[:, 0], torch.cat([chosen, rejected]), atol=1e-4
        )
    assert (chosen > rejected).all()
    batch["pixel_values"] = batch["pixel_values"].flip(0)  # other pictures, other verdicts
    other_chosen, other_rejected = scores(network, batch).chunk(2)
    assert not torch.allclose(other_chosen - other_rejected, chosen - rejected, atol=0.1)

    save_model(network, processor, tmp_path / "model")
    again = load_model(str(tmp_path / "model"), heads=HEADS)
    batch = PairCollator(processor)([pairs[i] for i in range(8)])
    first, second = scores(again, batch).chunk(2)
    assert (first > second).all()
    with pytest.raises(ValueError, match="scores, and writes nothing"):
        load_model(str(tmp_path / "model"))


def test_a_batch_has_all_better_sides_first_each_with_its_own_pictures(model_folder):
    processor, pairs = load_processor(model_folder), rows_of(drawn)
    collate = PairCollator(processor)
    both = collate([pairs[0], pairs[1]])
    sides = [collate([{"chosen": pairs[i][side], "images": pairs[i][shown]}])
             for side, shown in (("chosen", "images"), ("rejected", "rejected_images"))
             for i in (0, 1)]  # fmt: skip
    assert torch.equal(both["pixel_values"], torch.cat([side["pixel_values"] for side in sides]))
    assert torch.equal(both["input_ids"], torch.cat([side["input_ids"] for side in sides]))


def test_what_is_frozen_or_saves_memory_stays_so(model_folder):
    model = load_model(model_folder)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("visual" not in name)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    scorer = scalar_reward_model(model)
    frozen = {name for name, p in scorer.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in scorer.named_parameters() if "visual" in name} != set()
    assert scorer.is_gradient_checkpointing and scorer.score.weight.requires_grad


def test_rotary_frequencies_stay_in_float32(model_folder):
    model = load_model(model_folder, torch.bfloat16)
    scorer = scalar_reward_model(model)
    for name, buffer in model.model.named_buffers():
        assert torch.equal(scorer.model.get_buffer(name), buffer)
        assert scorer.model.get_buffer(name).dtype == buffer.dtype
    assert scorer.score.weight.dtype == torch.bfloat16


def test_a_model_without_a_head_is_no_scalar_judge(model_folder):
    with pytest.raises(ValueError, match="no head that scores"):
        load_model(model_folder, heads=HEADS)


def test_other_families_are_refused_by_name(model_folder):
    model = load_model(model_folder)
    model.config.model_type = "llava"
    with pytest.raises(ValueError, match="llava is not built yet"):
        scalar_reward_model(model)
