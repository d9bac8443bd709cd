"""Visionary-R1's rewards through TRL: each changes the total; what is unjudged costs nobody."""

from itertools import product

import pytest

from tasks.asking.coordinates import Coordinates
from tasks.records.rows import Sample
from tasks.rewards.caption_first import caption_suffices, describes_then_answers
from tasks.rewards.reward import Reward
from tasks.rewards.typed import right_by_type
from tasks.training.grpo import grpo_dataset
from tasks.training.objective import build_trainer
from tasks.training.plan import Plan
from tests.tasks.reading.folders import different
from tests.tasks.training.trainings import grpo

ALPHA = 0.1
REWARDS = (
    Reward(function=describes_then_answers), Reward(function=right_by_type),
    Reward(function=caption_suffices, weight=ALPHA),
)  # fmt: skip


@pytest.fixture(scope="module")
def trainer(model_folder, tmp_path_factory):
    scratch = str(tmp_path_factory.mktemp("scratch"))
    plan = Plan(
        model=model_folder, steps=1, batch=4, out=scratch, scratch=scratch, run_id="", seed=0,
        device="cpu",
    )  # fmt: skip
    objective = grpo(rewards=REWARDS, answers=2, max_new_tokens=2, beta=0.0)
    samples = [
        Sample(
            id=gold, task="t", split="train", prompt="How many?", metric="typed", final=gold,
            images=[different(gold, (96, 96))], details={"problem_type": "numerical"},
        )
        for gold in ("7", "9")
    ]  # fmt: skip
    return build_trainer(objective, plan, grpo_dataset(samples, Coordinates(100)), None)


def paid(trainer, texts: list[str], replies: list[str | None]) -> list[float]:
    """Return the totals of two answers to each question, as TRL sums them."""
    rows = [dict(trainer.train_dataset[i // 2]) for i in range(4)]
    asked = [row | {"replies": reply} for row, reply in zip(rows, replies, strict=True)]
    said = [[{"role": "assistant", "content": text}] for text in texts]
    prompts = [row["prompt"] for row in rows]
    parts = trainer._calculate_rewards(asked, prompts, said, [[1]] * 4)
    return (parts * trainer.reward_weights).nansum(dim=1).tolist()


def text(layout: bool, answer: str) -> str:
    thought = "<think>t</think>" if layout else ""
    return f"<info>c</info> {thought}<answer>{answer}</answer>"


def test_every_reward_changes_the_total(trainer):
    """In the released trainer the columns of all but the caption's stay zero (8.1)."""
    combined = list(product([True, False], ["7", "1"], ["7", "1"]))
    for layout, answer, reply in combined:
        total, *_ = paid(trainer, [text(layout, answer)] * 4, [reply] * 4)
        expected = float(layout) + float(answer == "7") + ALPHA * float(reply == "7")
        assert total == pytest.approx(expected)


def test_where_one_caption_is_unjudged_its_group_is_paid_without_captions(trainer):
    texts = [text(True, "7"), text(True, "1"), text(True, "9"), text(True, "1")]
    judged = paid(trainer, texts, ["7", "7", "9", "1"])
    assert judged == pytest.approx([2 + ALPHA, 1 + ALPHA, 2 + ALPHA, 1])
    partly = paid(trainer, texts, ["7", None, "9", "1"])
    assert partly == pytest.approx([2, 1, 2 + ALPHA, 1])
