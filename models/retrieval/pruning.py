"""Fewer vectors of a page by leaving some out: the baselines that merging is held against.

>>> page, question = torch.eye(3), torch.tensor([[0.6, 0.0, 0.8]])
>>> kept_by_potential(page, [question], share=0.4).tolist()
[0, 2]

Follows Light-ColPali (arXiv 2506.04997; specification, section 3). We differ from the release
(section 8, items 9 and 10): rows are removed and not zeroed, as a zero still wins against negative
similarities; a potential may be negative, so that the least useful patch goes first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def dropped(patches: int, share: float) -> int:
    """Return how many of a page's patches are left out, at least none and never all.

    Args:
        share: Of the patches, in [0, 1).
    """
    return min(int(patches * share), patches - 1)


def potentials(page: Tensor, queries: Sequence[Tensor]) -> Tensor:
    """Return how much each patch could count for some queries, [patches], in [-1, 1].

    Args:
        page: Unit rows, [patches, width].
        queries: Synthetic ones of this page, each [tokens, width]; never one that is asked later.

    Raises:
        ValueError: There are none.
    """
    if not queries:
        raise ValueError("without queries no patch has a potential")
    return (page.float() @ torch.cat(list(queries)).float().T).amax(1)


def kept_by_potential(page: Tensor, queries: Sequence[Tensor], share: float) -> Tensor:
    """Return the patches that are left when those of the lowest potential go, in their order."""
    return _highest(potentials(page, queries), share)


def kept_by_attention(attention: Tensor, share: float) -> Tensor:
    """Return the patches that are left when those go that the end token looks at least.

    Args:
        attention: Of the end token in the last layer, [heads, patches].
    """
    return _highest(attention.float().amax(0), share)


def kept_at_random(patches: int, share: float, seed: int) -> Tensor:
    """Return patches that are drawn without replacement, in their order."""
    draw = torch.randperm(patches, generator=torch.Generator().manual_seed(seed))
    return draw[: patches - dropped(patches, share)].sort().values


def _highest(values: Tensor, share: float) -> Tensor:
    """Return the places of the highest values; of equal ones the later go first."""
    order = values.argsort(descending=True, stable=True)
    return order[: len(values) - dropped(len(values), share)].sort().values
