"""Fewer vectors of a page: patches are put into groups, and each group becomes its mean.

>>> page = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
>>> merge(page, clusters(page, factor=2)).tolist()
[[1.0, 0.0], [0.0, 1.0]]

Follows Light-ColPali (arXiv 2506.04997; specification, section 3). Groups come from Ward's
clustering, from windows of the patch grid or from runs of the raster; of N patches max(N / factor,
1) groups are left, rounded down. The release clusters by *profile*: patches are alike that are as
similar to all other patches, as it hands SciPy the matrix of distances where SciPy expects
observations. By *distance* is what PyLate and sentence-transformers do. A group is decided without
a gradient, which flows through its mean.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

Strategy = Literal["clusters", "windows", "runs", "none"]
Likeness = Literal["profile", "distance"]
Grid = tuple[int, int]  # rows and columns of a page's patches; no row where nobody tells
MOST = 2**14  # patches of a page: the clusters of more would take gigabytes


def group(
    page: Tensor, strategy: Strategy, factor: float, grid: Grid, likeness: Likeness = "profile"
) -> Tensor:
    """Return the group of each patch, numbered from 0 in the order of their first patches.

    Args:
        page: Unit rows, [patches, width], row by row of the grid.
        factor: How many times fewer groups than patches there are to be, at least 1.
        likeness: What patches of a cluster have in common.

    Raises:
        ValueError: The grid has another number of patches, or is not told and needed, or the
            factor is below 1.
    """
    if not grid[0] and strategy == "windows":
        raise ValueError("the model does not tell the grid of its patches: choose other groups")
    if grid[0] and grid[0] * grid[1] != len(page):
        raise ValueError(f"a grid of {grid[0]} x {grid[1]} has not {len(page)} patches")
    if not factor >= 1:
        raise ValueError(f"a factor of {factor} is below 1")
    if factor == 1 or strategy == "none" or len(page) < 2:
        return torch.arange(len(page))
    if strategy == "clusters":
        return clusters(page, factor, likeness)
    return runs(len(page), factor) if strategy == "runs" else windows(grid, factor)


def clusters(page: Tensor, factor: float, likeness: Likeness = "profile") -> Tensor:
    """Return the clusters of Ward's method; fewer than asked for where patches coincide."""
    return cut(tree(page, likeness), remaining(len(page), factor))


def tree(page: Tensor, likeness: Likeness = "profile") -> np.ndarray:
    """Return Ward's tree of a page, SciPy's `Z`; it serves every factor.

    Args:
        page: [patches, width], two patches at least.

    Raises:
        ValueError: There are more than `MOST` patches.
    """
    if len(page) > MOST:
        raise ValueError(f"a page of {len(page)} patches is not clustered, of {MOST} at most")
    rows = page.detach().cpu().double()
    apart = 1 - rows @ rows.T
    if likeness == "profile":
        apart = torch.cdist(apart, apart, compute_mode="use_mm_for_euclid_dist")
    # equal rows are apart by a rounding error, of the matrix product by some 1e-8 (direct
    # differences have none, and take 12 times as long), and a negative one would be no distance
    apart = torch.where(apart < 1e-6, 0.0, apart).fill_diagonal_(0)
    return linkage(squareform(apart.numpy(), checks=False), method="ward")


def cut(merges: np.ndarray, number: int) -> Tensor:
    """Return the clusters of a tree that is cut into at most so many."""
    return _in_order(torch.from_numpy(fcluster(merges, number, criterion="maxclust")))


def windows(grid: Grid, factor: float) -> Tensor:
    """Return windows of k x k patches, where k is the root of the factor, rounded down."""
    rows, columns = grid
    k = math.isqrt(int(factor))
    row, column = torch.arange(rows) // k, torch.arange(columns) // k
    return (row[:, None] * -(-columns // k) + column[None, :]).reshape(-1)


def runs(patches: int, factor: float) -> Tensor:
    """Return runs of the raster, as even as they can be."""
    return torch.arange(patches) * remaining(patches, factor) // patches


def remaining(patches: int, factor: float) -> int:
    """Return how many groups are left of so many patches.

    >>> remaining(768, 9), remaining(3, 9)
    (85, 1)
    """
    return max(int(patches / factor), 1)


def merge(page: Tensor, groups: Tensor) -> Tensor:
    """Return the mean of each group, of unit length; in float32, then in the page's own type.

    Args:
        page: [patches, width].
        groups: Of each patch, as `group` returns them.
    """
    groups = groups.to(page.device)
    number = int(groups.max()) + 1 if len(groups) else 0
    if number == len(page):
        return page
    sums = page.new_zeros(number, page.shape[1], dtype=torch.float32)
    sums = sums.index_add(0, groups, page.float())
    # the mean is the sum, shortened; of opposites that cancel out it is zero, and stays so
    return torch.nn.functional.normalize(sums, dim=-1).to(page.dtype)


def bytes_of(
    patches: int, others: int, factor: float, *, rounded_up: bool = False, width: int = 128
) -> tuple[int, int]:
    """Return how many vectors a page has, and their bytes in float16.

    Args:
        others: Rows that are kept as they are: those of the prompt.
        rounded_up: As the paper's table has it: the size of the buffer, and not what fills it.

    >>> bytes_of(768, 5, 9), bytes_of(768, 5, 9, rounded_up=True)
    ((90, 23040), (91, 23296))
    """
    left = math.ceil(patches / factor) if rounded_up else remaining(patches, factor)
    return left + others, 2 * width * (left + others)


def image_token_range(tokens: Sequence[int], token: int) -> tuple[int, int] | None:
    """Return the first and the last place of a token; None where it is not there.

    >>> image_token_range([1, 9, 9, 2], 9), image_token_range([1, 2], 9)
    ((1, 2), None)
    """
    places = [place for place, one in enumerate(tokens) if one == token]
    return (places[0], places[-1]) if places else None


def _in_order(labels: Tensor) -> Tensor:
    """Return the same groups, numbered from 0 by their first members."""
    _, first = np.unique(labels.numpy(), return_index=True)
    _, inverse = torch.unique(labels, return_inverse=True)
    return torch.from_numpy(np.argsort(np.argsort(first)))[inverse]
