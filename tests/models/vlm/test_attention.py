"""The batched vision attention is exact: it equals the plain path, forwards and backwards."""

import pytest
import torch

from models.vlm.attention import batch_pictures, batched_pictures

EQUAL = torch.tensor([[1, 12, 12]] * 3)
RAGGED = torch.tensor([[1, 12, 12], [1, 6, 8], [1, 4, 12]])


def patches(grid: torch.Tensor, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(int(grid.prod(1).sum()), 3 * 8 * 8, generator=generator)


@pytest.fixture(scope="module")
def towers(tiny_model):
    """The stock vision tower and its twin with batched pictures."""
    stock, batched = tiny_model(layers=2, weight_scale=3), tiny_model(layers=2, weight_scale=3)
    batch_pictures(batched)
    assert stock.model.visual.config._attn_implementation == "sdpa"
    assert batched.model.visual.config._attn_implementation != "sdpa"
    return stock.model.visual, batched.model.visual


@pytest.mark.parametrize("grid", [EQUAL, RAGGED, EQUAL[:1]], ids=["equal", "ragged", "one"])
def test_batched_pictures_equal_the_stock_tower(towers, grid):
    pixels = patches(grid)
    with torch.no_grad():
        plain, batched = (tower(pixels, grid_thw=grid) for tower in towers)
    torch.testing.assert_close(
        batched.last_hidden_state, plain.last_hidden_state, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(batched.pooler_output, plain.pooler_output, atol=1e-4, rtol=1e-4)
    assert plain.last_hidden_state.std() > 0.01


@pytest.mark.parametrize("grid", [EQUAL, RAGGED], ids=["equal", "ragged"])
def test_gradients_equal_those_of_the_stock_tower(towers, grid):
    pixels = patches(grid)
    gradients = []
    for tower in towers:
        tower.zero_grad()
        tower(pixels, grid_thw=grid).pooler_output.square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in tower.named_parameters()})
    assert len(gradients[0]) > 10
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("grid", [EQUAL, RAGGED], ids=["equal", "ragged"])
def test_no_picture_sees_another(towers, grid):
    pixels = patches(grid)
    changed = pixels.clone()
    first = int(grid[0].prod())
    changed[first:] = patches(grid, seed=1)[first:]
    with torch.no_grad():
        before, after = (towers[1](p, grid_thw=grid).last_hidden_state for p in (pixels, changed))
    torch.testing.assert_close(before[:first], after[:first])
    assert (before[first:] - after[first:]).abs().max() > 0.01


@pytest.mark.parametrize("sizes", [[6, 6], [2, 9, 1], [5]])
def test_the_function_equals_attention_written_out_picture_by_picture(sizes):
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, sum(sizes), 4, generator=generator)
    bounds = torch.tensor([0, *sizes]).cumsum(0)
    result, weights = batched_pictures(
        None, query, key, value, scaling=0.3, cu_seq_lens_q=bounds, max_length_q=max(sizes)
    )
    assert weights is None and result.shape == (1, sum(sizes), 2, 4)
    for start, end in zip(bounds, bounds[1:], strict=False):
        for head in range(2):
            q, k, v = (t[0, head, start:end] for t in (query, key, value))
            expected = torch.softmax(0.3 * q @ k.T, dim=-1) @ v
            torch.testing.assert_close(result[0, start:end, head], expected)
