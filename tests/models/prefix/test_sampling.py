"""Answers written with shared prompts are those of `generate`, whatever the company."""

import pytest
import torch

from models.prefix.sampling import Prompts, greedy, own_draws, sample
from models.prefix.shared import share_prefix
from tests.models.prefix.test_shared import batch, model  # noqa: F401  (three families)

LONG = 24


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
        model, inputs, owners, max_new_tokens=LONG, end_tokens=torch.tensor([end]), draw=greedy
    )
    assert answers.tokens == [cut[owner] for owner in owners]


def test_sampled_answers_are_scored_as_training_scores_them(model):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, [([0], 14), ([1], 17)])
    owners = torch.tensor([0, 1, 1, 0, 0])
    share_prefix(model)
    found = sample(
        model, inputs, owners, max_new_tokens=12, end_tokens=torch.tensor([], dtype=torch.long),
        draw=own_draws(range(5), 12, 1.0), scored_at=1.0,
    )  # fmt: skip
    answers = torch.tensor(found.tokens)
    assert len(answers.unique(dim=0)) == 5
    pictures = inputs["pixel_values"].view(2, -1, inputs["pixel_values"].shape[-1])[owners]
    ids = torch.cat([inputs["input_ids"][owners], answers], dim=1)
    mask = torch.cat([inputs["attention_mask"][owners], torch.ones_like(answers)], dim=1)
    scored = model(
        input_ids=ids, attention_mask=mask, labels=ids, fused_lm_head=True,
        pixel_values=pictures.flatten(0, 1), image_grid_thw=inputs["image_grid_thw"][owners],
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
    ).log_probs[:, -12:]  # fmt: skip
    assert torch.allclose(torch.tensor(found.log_probs), scored, atol=1e-5)


def test_prompts_about_the_same_pictures_are_a_tree_and_are_answered_as_alone(model):  # noqa: F811
    """Three questions about the same pictures, and one about others."""
    model.eval()
    shown = [0, 1, 2, 3]
    inputs = prompts_of(model, [(shown, 14), (shown, 4), (shown, 9), ([4, 5, 6, 7], 7)])
    state = share_prefix(model)
    owners = torch.tensor([0, 1, 2, 3, 0])
    how = {"max_new_tokens": LONG, "end_tokens": torch.tensor([], dtype=torch.long)}
    together = sample(model, inputs, owners, draw=greedy, scored_at=1.0, **how)
    assert state.computed < 0.8 * state.given
    for row, owner in enumerate(owners.tolist()):
        alone = sample(
            model, one_of(inputs, owner), torch.tensor([0]), draw=greedy, scored_at=1.0, **how
        )  # fmt: skip
        assert alone.tokens[0] == together.tokens[row]
        assert alone.log_probs[0] == pytest.approx(together.log_probs[row], abs=1e-5)


def one_of(inputs: dict, prompt: int) -> dict:
    """Return the inputs of one prompt; all have as many pictures, of one size."""
    parts = len(inputs["input_ids"])
    pictures = {
        name: inputs[name].chunk(parts)[prompt] for name in ("pixel_values", "image_grid_thw")
    }
    seen = inputs["attention_mask"][prompt].bool()
    rows = {name: tensor[prompt : prompt + 1, seen] for name, tensor in inputs.items()
            if name not in pictures}  # fmt: skip
    return rows | pictures


def test_what_a_row_draws_depends_on_its_seed_alone(model):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, [([0], 14), ([1], 17), ([2], 9)])
    share_prefix(model)
    how = {"max_new_tokens": LONG, "end_tokens": torch.tensor([3])}

    def drawn(owners: list[int], seeds: list[int]) -> dict[tuple[int, int], list[int]]:
        found = sample(
            model, inputs, torch.tensor(owners), draw=own_draws(seeds, LONG, 0.9), **how
        )  # fmt: skip
        return dict(zip(zip(owners, seeds, strict=True), found.tokens, strict=True))

    first = drawn([0, 0, 1, 1, 2], [5, 6, 5, 7, 2**100])
    assert len({tuple(tokens) for tokens in first.values()}) == 5
    other = drawn([2, 1, 0, 0, 0, 0], [2**100, 7, 9, 6, 11, 5])
    assert {key: other[key] for key in first if key in other} == {
        key: first[key] for key in first if key in other
    }


def test_draws_follow_the_distribution():
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]]).repeat(4000, 1)
    tokens = own_draws(range(4000), 1, 0.7)(logits, torch.arange(4000), 0)
    shares = tokens.bincount(minlength=4) / 4000
    assert torch.allclose(shares, (logits[0] / 0.7).softmax(-1), atol=0.03) and shares[3] == 0


def test_an_answer_ends_where_it_is_told_to_stop(model):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, [([0], 14), ([1], 17)])
    share_prefix(model)
    how = {"max_new_tokens": LONG, "end_tokens": torch.tensor([], dtype=torch.long), "draw": greedy}
    whole = sample(model, inputs, torch.tensor([0, 1]), **how).tokens
    stopped = sample(
        model, inputs, torch.tensor([0, 1]), stop=lambda tokens: tokens[:6] == whole[0][:6], **how
    ).tokens
    assert 6 <= len(stopped[0]) < LONG and whole[0][: len(stopped[0])] == stopped[0]
    assert stopped[1] == whole[1]


def test_prompts_without_rows_leave():
    keys = [torch.arange(3.0).view(3, 1, 1, 1)]
    prompts = Prompts.of(keys, keys, torch.zeros(3, 1, 1, 1, dtype=torch.bool),
                         torch.tensor([2, 0, 2, 2]))  # fmt: skip
    assert prompts.keys[0].flatten().tolist() == [0, 2]
    assert prompts.slots.tolist() == [[1, 0, 0], [0, 2, 3]]
    assert prompts.slots.flatten()[prompts.places].tolist() == [0, 1, 2, 3]
