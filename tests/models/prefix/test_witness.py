"""Replies that are looked up are those that are decoded, whatever was expected."""

import pytest
import torch

from models.prefix import witness
from models.prefix.scoring import written_greedily
from models.prefix.shared import share_prefix
from models.prefix.witness import greedy_replies
from tests.models.prefix.test_sampling import prompts_of
from tests.models.prefix.test_shared import model  # noqa: F811, F401  (three families)

LONG = 10


@pytest.mark.parametrize("pictures", [[], [0]])
def test_replies_equal_generate_whatever_was_expected(model, pictures, monkeypatch):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, [(pictures, length) for length in (5, 9, 14, 9)])
    length = inputs["input_ids"].shape[1]
    plain = model.generate(**inputs, max_new_tokens=LONG, do_sample=False, eos_token_id=None)
    rows = plain[:, length:].tolist()
    end = rows[0][4]
    cut = [row[: row.index(end) + 1] if end in row else row for row in rows]
    share_prefix(model)
    wrong = [(token + 1) % 50 for token in cut[1]]
    expected = [cut[0], wrong, cut[2][:-1] + wrong[:1], [*cut[3][:1], end]]
    just_so = written_greedily(model, inputs, expected)
    assert just_so == [one == other for one, other in zip(expected, cut, strict=True)]
    decoded = []
    ask = witness.sample
    monkeypatch.setattr(
        witness, "sample", lambda m, i, owners, **how: decoded.append(len(owners))
        or ask(m, i, owners, **how)
    )  # fmt: skip
    found = greedy_replies(
        model, inputs, expected, max_new_tokens=LONG, end_tokens=torch.tensor([end])
    )
    assert found == cut and decoded == [just_so.count(False)]
    assert greedy_replies(
        model, inputs, cut, max_new_tokens=LONG, end_tokens=torch.tensor([end])
    ) == cut and len(decoded) == 1  # fmt: skip
    short = greedy_replies(model, inputs, cut, max_new_tokens=2, end_tokens=torch.tensor([end]))
    assert short == [row[:2] for row in cut]
