"""Answers sampled from shared prompts are those that `generate` would give."""

from functools import partial

import pytest
import torch
from transformers import LogitsProcessorList

from models.prefix.rollouts import Prompts, sample, shuffle_groups
from models.prefix.shared import share_prefix
from tests.models.prefix.test_shared import batch, model  # noqa: F401  (three families)

LONG = 24


def greedily(logits: torch.Tensor) -> torch.Tensor:
    return torch.full_like(logits, -torch.inf).scatter(1, logits.argmax(-1, keepdim=True), 0.0)


def prompts_of(model, shown):  # noqa: F811
    rows = batch(model, shown, [1] * len(shown), answer=(1,))
    rows.pop("labels")
    return {name: tensor[:, :-1] if tensor.ndim == 2 and name.endswith(("ids", "mask")) else tensor
            for name, tensor in rows.items()}  # fmt: skip


@pytest.mark.parametrize(
    "shown", [[([0], 14), ([1], 17), ([2, 3], 3)], [([0], 18), ([], 7)], [([], 5), ([], 9)]]
)
def test_greedy_answers_equal_generate(model, shown):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, shown)
    length = inputs["input_ids"].shape[1]
    plain = model.generate(**inputs, max_new_tokens=LONG, do_sample=False, eos_token_id=None)
    expected = plain[:, length:].tolist()
    # a token that ends some answers early, so that rows leave the batch at different steps
    end = expected[0][5]
    cut = [row[: row.index(end) + 1] if end in row else row for row in expected]
    share_prefix(model)
    owners = torch.tensor([0, 1, 0, *range(len(shown)), 1])
    answers = sample(
        model, inputs, owners, max_new_tokens=LONG, end_tokens=torch.tensor([end]), warp=greedily
    )
    assert answers == [cut[owner] for owner in owners]


def test_sampled_answers_follow_the_distribution_that_training_scores(model):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, [([0], 14), ([1], 17)])
    owners = torch.tensor([0, 1, 1, 0, 0])
    seen: list[torch.Tensor] = []

    def recording(logits):
        seen.append(logits.log_softmax(-1))
        return logits

    share_prefix(model)
    torch.manual_seed(0)
    answers = torch.tensor(
        sample(
            model, inputs, owners, max_new_tokens=12,
            end_tokens=torch.tensor([], dtype=torch.long), warp=recording,
        )
    )  # fmt: skip
    assert len(answers.unique(dim=0)) == 5
    sampled = torch.stack(seen, dim=1).gather(2, answers[..., None])[..., 0]
    pictures = inputs["pixel_values"].view(2, -1, inputs["pixel_values"].shape[-1])[owners]
    ids = torch.cat([inputs["input_ids"][owners], answers], dim=1)
    mask = torch.cat([inputs["attention_mask"][owners], torch.ones_like(answers)], dim=1)
    scored = model(
        input_ids=ids, attention_mask=mask, labels=ids, fused_lm_head=True,
        pixel_values=pictures.flatten(0, 1), image_grid_thw=inputs["image_grid_thw"][owners],
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
    ).log_probs[:, -12:]  # fmt: skip
    assert torch.allclose(sampled, scored, atol=1e-5)


def test_prompts_without_rows_leave():
    keys = [torch.arange(3.0).view(3, 1, 1, 1)]
    prompts = Prompts.of(keys, keys, torch.zeros(3, 1, 1, 1, dtype=torch.bool),
                         torch.tensor([2, 0, 2, 2]))  # fmt: skip
    assert prompts.keys[0].flatten().tolist() == [0, 2]
    assert prompts.slots.tolist() == [[1, 0, 0], [0, 2, 3]]
    assert prompts.slots.flatten()[prompts.places].tolist() == [0, 1, 2, 3]


def test_groups_are_shuffled_whole_and_alike():
    torch.manual_seed(0)
    rows = {"ids": torch.arange(12), "texts": [str(i) for i in range(12)], "none": None,
            "count": torch.tensor(7)}  # fmt: skip
    moved = shuffle_groups(rows, 3)
    assert moved["none"] is None and moved["count"] == 7
    assert moved["texts"] == [str(i) for i in moved["ids"].tolist()]
    assert sorted(moved["ids"].tolist()) == list(range(12)) != moved["ids"].tolist()
    assert all(group.tolist() == list(range(group[0], group[0] + 3))
               for group in moved["ids"].view(4, 3))  # fmt: skip


def test_warpers_are_applied_before_sampling(model):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, [([0], 14), ([1], 17)])
    only = 42
    share_prefix(model)

    def forbid(_, logits):
        return torch.full_like(logits, -torch.inf).index_fill(1, torch.tensor([only]), 0.0)

    answers = sample(
        model, inputs, torch.tensor([0, 1]), max_new_tokens=3, end_tokens=torch.tensor([1]),
        warp=partial(LogitsProcessorList([forbid]), None),
    )  # fmt: skip
    assert answers == [[only] * 3] * 2
