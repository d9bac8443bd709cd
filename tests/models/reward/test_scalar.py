"""A scalar reward model learns from pictures, hosted by Lightning like every other trainer."""

import random

import lightning as L
import pytest
import torch
from PIL import Image
from trl import RewardConfig
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from models.engine.trl_module import TRLModule
from models.prefix.shared import share_prefix
from models.reward.scalar import VisualRewardTrainer, scalar_reward_model, scores
from models.vlm.loading import load_model, load_processor
from tasks.records.images import to_png
from tasks.training.conversations import MESSAGES, PICTURES, assistant_turn, pictures, user_turn
from tasks.training.objective import TRL_DEFAULTS

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def pairs():
    """Only the picture says which answer is better."""
    from datasets import Dataset, Features

    rng, rows = random.Random(0), []
    for _ in range(64):
        good = rng.choice(list(COLORS))
        bad = next(name for name in COLORS if name != good)
        picture = to_png(Image.new("RGB", (96, 96), COLORS[good]))
        rows.append(
            {"prompt": user_turn("What color is it?"), "chosen": assistant_turn(good),
             "rejected": assistant_turn(bad), "images": pictures([picture])}
        )  # fmt: skip
    names = {"prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES, "images": PICTURES}
    return Dataset.from_list(rows, features=Features(names))


def test_it_learns_what_only_the_picture_tells(model_folder, pairs, tmp_path):
    processor = load_processor(model_folder)
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
    assert sharing[0].computed < sharing[0].given  # both answers of a pair read one prompt
    batch = DataCollatorForVisionPreference(processor=processor, max_length=None)(
        [pairs[i] for i in range(8)]
    )
    batch.pop("completion_mask")
    chosen, rejected = scores(module.model.eval(), batch).chunk(2)
    assert (chosen > rejected).all()
    batch["pixel_values"] = batch["pixel_values"].flip(0)  # other pictures, other verdicts
    other_chosen, other_rejected = scores(module.model, batch).chunk(2)
    assert not torch.allclose(other_chosen - other_rejected, chosen - rejected, atol=0.1)


def test_other_families_are_refused_by_name(model_folder):
    model = load_model(model_folder)
    model.config.model_type = "llava"
    with pytest.raises(ValueError, match="llava is not built yet"):
        scalar_reward_model(model)
