"""Attention of the vision tower over many small pictures at once.

On devices without flash attention, transformers runs the vision attention picture by picture; for
sixteen pictures of 144 patches that Python loop costs more than the arithmetic. Implementations
whose name says "flash" get the whole batch with its boundaries instead, so this one asks for that
and computes pictures of one size in a single batched product. It is exact, and falls back to the
loop when sizes differ.
"""

import torch
from transformers import AttentionInterface

NAME = "batched_pictures_flash_like"


def batched_pictures(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None = None,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attend within each picture.

    Args:
        query, key, value: [1, heads, patches of all pictures, head dimension].
        cu_seq_lens_q: Boundaries of the pictures, [pictures + 1].
        max_length_q: Patches of the largest picture.

    Returns:
        [1, patches, heads, head dimension], and no attention weights.
    """
    _, heads, total, dim = query.shape
    pictures = cu_seq_lens_q.shape[0] - 1
    if pictures * max_length_q == total:
        q, k, v = (
            t.view(heads, pictures, max_length_q, dim).transpose(0, 1) for t in (query, key, value)
        )
        # plain products: the CPU kernel's backward of fused attention took a third of a step here
        weights = torch.softmax((q * scaling) @ k.transpose(-1, -2), dim=-1)
        return (weights @ v).permute(0, 2, 1, 3).reshape(1, total, heads, dim), None
    bounds = cu_seq_lens_q.tolist()
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            query[:, :, a:b], key[:, :, a:b], value[:, :, a:b], scale=scaling
        )
        for a, b in zip(bounds, bounds[1:], strict=False)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2), None


AttentionInterface.register(NAME, batched_pictures)


def batch_pictures(model: torch.nn.Module) -> None:
    """Make a Qwen vision tower compute all pictures of one size at once."""
    model.model.visual.config._attn_implementation = NAME
