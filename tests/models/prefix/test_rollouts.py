"""What TRL is handed: groups stay together, and what changes probabilities is applied first."""

import torch
from transformers import LogitsProcessorList

from models.prefix.rollouts import _drawn, shuffle_groups
from models.prefix.sampling import sample
from models.prefix.shared import share_prefix
from tests.models.prefix.test_sampling import prompts_of
from tests.models.prefix.test_shared import model  # noqa: F401  (three families)


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
        draw=_drawn(LogitsProcessorList([forbid])),
    )  # fmt: skip
    assert answers.tokens == [[only] * 3] * 2
