"""Training refuses where pictures are lost: in the collator, the model, or in scoring alone."""

import pytest
import torch
from PIL import Image
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

from models.prefix import rollouts
from tasks.asking.coordinates import Coordinates
from tasks.records.images import to_png
from tasks.running.errors import UserError
from tasks.training.conversations import conversation_dataset
from tasks.training.dpo import Dpo, _preference_dataset
from tasks.training.grpo import grpo_dataset
from tasks.training.objective import build_trainer
from tasks.training.plan import Plan
from tasks.training.sft import Sft
from tasks.training.sight import GREY, check_sight
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import fine_tuned, grpo, reinforced


@pytest.fixture(scope="module")
def samples() -> list:
    return [make_sample(0, "train", task, n) for n in range(5) for task in ("find", "text_only")]


@pytest.fixture
def common(model_folder, tmp_path) -> dict:
    return {
        "model": model_folder, "steps": 2, "out": str(tmp_path / "out"),
        "scratch": str(tmp_path / "scratch"), "run_id": "", "seed": 0, "device": "cpu",
    }  # fmt: skip


@pytest.fixture(params=["sft", "dpo", "grpo"])
def trainer(request, samples, common):
    plan = Plan(batch=4, **common)
    if request.param == "sft":
        rows = conversation_dataset([(s.prompt, "1", s.images) for s in samples])
        return build_trainer(Sft(learning_rate=1e-3), plan, rows, None)
    if request.param == "dpo":
        pairs = [{"prompt": s.prompt, "images": s.images, "chosen": "1", "rejected": "2"}
                 for s in samples]  # fmt: skip
        return build_trainer(
            Dpo(learning_rate=1e-3, beta=0.1), plan, _preference_dataset(pairs), None
        )
    data = grpo_dataset([s for s in samples if s.images], Coordinates(100))
    return build_trainer(grpo(samples, max_new_tokens=4), plan, data, None)


def test_a_model_that_sees_may_be_trained(trainer):
    check_sight(trainer)


def blind(monkeypatch) -> None:
    """Let the model compute as if all pictures were the same."""
    forward = Qwen3VLModel.forward

    def without(self, *args, pixel_values=None, **kwargs):
        seen = None if pixel_values is None else torch.zeros_like(pixel_values)
        return forward(self, *args, pixel_values=seen, **kwargs)

    monkeypatch.setattr(Qwen3VLModel, "forward", without)


def test_a_blinded_model_is_refused(trainer, monkeypatch):
    blind(monkeypatch)
    with pytest.raises(UserError, match="does not see the pictures"):
        check_sight(trainer)


def test_a_blinded_collator_is_refused(trainer, monkeypatch):
    def same(images):
        return [Image.new("RGB", image.size, "white") for image in images]

    collate = trainer.data_collator

    def blinded(rows):
        return collate([row | {"images": same(row["images"])} for row in rows])

    monkeypatch.setattr(trainer, "data_collator", blinded)
    prepare = rollouts.prompt_inputs

    def without(prompts, trl):
        made = prepare(prompts, trl)
        return made | {"pixel_values": torch.zeros_like(made["pixel_values"])}

    monkeypatch.setattr("tasks.training.sight.prompt_inputs", without)
    with pytest.raises(UserError, match="does not see the pictures"):
        check_sight(trainer)


def test_the_refusal_comes_before_the_first_step(samples, common, monkeypatch):
    blind(monkeypatch)
    rows = [(s.prompt, "1", s.images) for s in samples]
    with pytest.raises(UserError, match="does not see the pictures"):
        fine_tuned(rows, learning_rate=1e-3, batch=4, **common)


def test_pictures_that_are_all_grey_are_no_blindness(common):
    rows = [("What is it?", "grey", [to_png(Image.new("RGB", (96, 96), GREY))])] * 8
    assert fine_tuned(rows, learning_rate=1e-3, batch=4, **common)


GRPO = {"coordinates": Coordinates(100), "prompts": 2, "answers": 4, "learning_rate": 1e-3,
        "beta": 0.0, "max_new_tokens": 12}  # fmt: skip


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampling_and_scoring_agree(temperature, samples, common):
    asked = [sample for sample in samples if sample.images]
    for row in reinforced(asked, [], temperature=temperature, **GRPO, **common):
        assert row["train/sampling/distance"] <= row["train/sampling/distance_p99"] < 1e-4


def test_scoring_that_is_blind_alone_stops_the_run_and_keeps_its_batch(
    samples, common, monkeypatch, tmp_path
):
    scores = rollouts.GroupedGRPOTrainer._get_per_token_logps_and_entropies

    def blinded(self, *args, pixel_values=None, **kwargs):
        seen = None if pixel_values is None else torch.zeros_like(pixel_values)
        return scores(self, *args, pixel_values=seen, **kwargs)

    monkeypatch.setattr(rollouts.GroupedGRPOTrainer, "_get_per_token_logps_and_entropies", blinded)
    monkeypatch.setattr(rollouts, "FAR", 1e-3)  # fresh weights hardly look at anything
    asked = [sample for sample in samples if sample.images]
    with pytest.raises(FloatingPointError, match="do not see the same") as error:
        reinforced(asked, [], temperature=1.0, **GRPO, **common)
    [kept] = tmp_path.rglob("batch_at_step_0.pt")
    assert str(kept) in str(error.value) and "completion_ids" in torch.load(kept)
