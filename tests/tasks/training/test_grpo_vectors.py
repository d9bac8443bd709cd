"""TRL as we configure it computes the GRPO of two specifications.

Visual-RFT's (10.18 to 10.20), and Visionary-R1's (10.12 to 10.14) with its KL schedule.
"""

import json
from pathlib import Path

import pytest
import torch

from models.prefix.sampling import sample
from models.prefix.shared import share_prefix
from tasks.asking.coordinates import Coordinates
from tasks.rewards.reward import Reward
from tasks.rewards.text import exact_answer
from tasks.training.grpo import grpo_dataset
from tasks.training.kl_schedule import kl_weight
from tasks.training.objective import build_trainer
from tasks.training.plan import Plan
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import grpo

VECTORS = Path(__file__).parents[1] / "rewards" / "vectors"


def rows(name: str) -> list:
    read = json.loads((VECTORS / f"{name}.json").read_text())["rows"]
    assert len(read) == 16
    return [pytest.param(row["input"], row["recommended"], id=str(row["row"])) for row in read]


@pytest.fixture(scope="module")
def trainer(model_folder, tmp_path_factory):
    scratch = str(tmp_path_factory.mktemp("scratch"))
    plan = Plan(
        model=model_folder, steps=1, batch=2, out=scratch, scratch=scratch, run_id="", seed=0,
        device="cpu",
    )  # fmt: skip
    rewards = [Reward(function=exact_answer)]
    objective = grpo(rewards=rewards, answers=2, max_new_tokens=2, beta=0.04)
    samples = [make_sample(0, "train", "count", 0)]
    built = build_trainer(objective, plan, grpo_dataset(samples, Coordinates(100)), None)
    for network in (built.model, built.ref_model):
        share_prefix(network)
    built.current_gradient_accumulation_steps = 1  # which the loop sets
    return built


def advantages(trainer, monkeypatch, rewards: list[float], group: int) -> torch.Tensor:
    monkeypatch.setattr(trainer, "num_generations", group)
    paid = torch.tensor(rewards, dtype=torch.float32)[:, None]
    monkeypatch.setattr(trainer, "_calculate_rewards", lambda *_: paid)
    trainer.model.train()
    asked = [trainer.train_dataset[0] for _ in rewards]
    return trainer._generate_and_score_completions(asked)["advantages"]


@pytest.mark.parametrize(
    ("given", "expected"), rows("group_advantages") + rows("visionary_group_advantages")
)
def test_advantages_are_those_of_the_specification(trainer, monkeypatch, given, expected):
    found = advantages(trainer, monkeypatch, given["rewards"], given["num_generations"])
    assert found.tolist() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("given", "expected"), rows("grpo_loss") + rows("visionary_grpo_loss"))
def test_loss_kl_and_gradient_are_those_of_the_specification(trainer, monkeypatch, given, expected):
    scaled = advantages(trainer, monkeypatch, given["rewards"], given["num_generations"])
    mask = torch.tensor(given["mask"])
    log_probs = torch.tensor(given["token_logps"], requires_grad=True)
    # the epoch of a run of one epoch is what is finished of it
    monkeypatch.setattr(trainer, "beta", kl_weight(given["beta"], given.get("epoch", 0), 1))
    monkeypatch.setattr(
        trainer, "_get_per_token_logps_and_entropies",
        lambda *_, **__: (log_probs, torch.zeros_like(log_probs), None),
    )  # fmt: skip
    inputs = {
        "prompt_ids": mask, "prompt_mask": mask, "completion_ids": mask, "completion_mask": mask,
        "advantages": scaled, "ref_per_token_logps": torch.tensor(given["ref_token_logps"]),
        "num_items_in_batch": mask.sum(),
    }  # fmt: skip
    trainer._metrics["train"].clear()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    assert loss.item() == pytest.approx(expected["loss"], abs=2e-6)
    assert log_probs.grad.flatten().tolist() == pytest.approx(
        [value for row in expected["grad_token_logps"] for value in row], abs=2e-6
    )


@pytest.mark.parametrize(
    ("given", "expected"), rows("completion_mask") + rows("visionary_completion_mask")
)
def test_an_answer_ends_with_its_first_end_token(trainer, given, expected):
    prompt = trainer.train_dataset[0]
    content = [{"type": "image", "image": image} for image in prompt["images"]]
    content.append({"type": "text", "text": prompt["prompt"][-1]["content"]})
    inputs = trainer.processing_class.apply_chat_template(
        [[{"role": "user", "content": content}]], tokenize=True, add_generation_prompt=True,
        return_dict=True, return_tensors="pt",
    )  # fmt: skip
    for ids, mask in zip(given["completion_ids"], expected, strict=True):
        forced = iter(ids)

        def only(logits, rows, step, forced=forced):
            return torch.tensor([next(forced)])

        [answer] = sample(
            trainer.model.eval(), dict(inputs), torch.tensor([0]), max_new_tokens=len(ids),
            end_tokens=torch.tensor([given["eos_token_id"]]), draw=only,
        ).tokens  # fmt: skip
        assert answer == [token for token, kept in zip(ids, mask, strict=True) if kept]


def think(name: str) -> list:
    """Vectors of UnifiedReward-Think's specification, of the same loss."""
    return json.loads((VECTORS / f"think_{name}.json").read_text())["rows"]


@pytest.mark.parametrize(("given", "expected"), think("grpo_advantages"))
def test_advantages_are_those_of_the_thinking_judge(trainer, monkeypatch, given, expected):
    found = advantages(trainer, monkeypatch, given["rewards"], given["num_generations"])
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


def loss_of(trainer, monkeypatch, policy, reference, mask, scaled, beta) -> tuple:
    log_probs = torch.tensor(policy, requires_grad=True)
    monkeypatch.setattr(trainer, "beta", beta)
    monkeypatch.setattr(
        trainer, "_get_per_token_logps_and_entropies",
        lambda *_, **__: (log_probs, torch.zeros_like(log_probs), None),
    )  # fmt: skip
    kept = torch.tensor(mask)
    inputs = {
        "prompt_ids": kept, "prompt_mask": kept, "completion_ids": kept, "completion_mask": kept,
        "advantages": torch.tensor(scaled), "ref_per_token_logps": torch.tensor(reference),
        "num_items_in_batch": kept.sum(),
    }  # fmt: skip
    trainer._metrics["train"].clear()
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.item(), log_probs.grad


@pytest.mark.parametrize(("given", "expected"), rows("grpo_loss") + rows("visionary_grpo_loss"))
def test_the_divergence_is_that_of_the_specification(trainer, monkeypatch, given, expected):
    """It is what a whole weight of it adds to the loss."""
    scaled = [0.0] * len(given["rewards"])
    parts = given["token_logps"], given["ref_token_logps"], given["mask"], scaled
    loss, _ = loss_of(trainer, monkeypatch, *parts, beta=1.0)
    assert loss == pytest.approx(expected["mean_kl"], abs=2e-6)


@pytest.mark.parametrize(("given", "expected"), think("grpo_loss"))
def test_loss_and_gradient_are_those_of_the_thinking_judge(trainer, monkeypatch, given, expected):
    loss, gradient = loss_of(
        trainer, monkeypatch, given["policy_logps"], given["ref_logps"], given["mask"],
        given["advantages"], given["beta"],
    )  # fmt: skip
    assert loss == pytest.approx(expected["loss"], abs=1e-4)
    assert gradient.flatten().tolist() == pytest.approx(
        [value for row in expected["grad"] for value in row], abs=1e-4
    )


def test_kl_is_that_of_the_thinking_judge_where_no_clamp_acts(trainer, monkeypatch):
    """TRL has no clamp; in two of fifteen rows a token is further than 10 nats away."""
    compared = 0
    for given, expected in think("grpo_kl"):
        for policy, reference, clamped in zip(
            given["policy_logps"], given["ref_logps"], expected["clamp10"], strict=True
        ):
            if abs(policy - reference) < 10:
                loss, _ = loss_of(
                    trainer, monkeypatch, [[policy]], [[reference]], [[1]], [0.0], 1.0
                )
                assert loss == pytest.approx(clamped, abs=1e-4)
                compared += 1
    assert compared == 41
