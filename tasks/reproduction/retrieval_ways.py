"""The ways of storing fewer vectors of a page that Light-ColPali's experiment holds side by side.

Follows arXiv 2506.04997, sections 3 and 4: what is stored is decided without the question. All ways
start from the same vectors of a page, and keep the rows of its prompt; at a factor they store the
same number of vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from models.retrieval.merging import cut, merge, remaining, runs, tree, windows
from models.retrieval.pruning import kept_at_random, kept_by_attention, kept_by_potential
from tasks.retrieval.index import Embedded

FACTORS = (4.0, 9.0, 25.0, 49.0)
Kind = Literal[
    "all", "clusters", "distance", "windows", "runs", "one", "states", "random", "score",
    "attention",
]  # fmt: skip
PRUNED = ("random", "score", "attention", "states")  # of those no patch has a vector to point with
SAID = {
    "all": "all vectors", "clusters": "clusters", "distance": "clusters by distance",
    "windows": "windows", "runs": "runs", "one": "one vector", "states": "clusters of states",
    "random": "random pruning", "score": "pruning by score", "attention": "pruning by attention",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """A way of storing a page.

    Attributes:
        kind: `states` are clusters of the language model's states, before the projection.
        seed: Of what is drawn.
    """

    kind: Kind
    factor: float = 1.0
    seed: int = 0

    @property
    def name(self) -> str:
        """Its title: `clusters 9`."""
        return SAID[self.kind] + (f" {self.factor:g}" if self.factor > 1 else "")


@dataclass(frozen=True)
class Seen:
    """A page with all that the ways need.

    Attributes:
        page: With all vectors, patches first.
        states: Unit rows of the language model's states of its patches, projected; of `states`.
        attention: What the last token looks at, [heads, patches].
        queries: Vectors of synthetic questions about it.
    """

    page: Embedded
    merged_states: Tensor | None = None
    attention: Tensor | None = None
    queries: Sequence[Tensor] = ()


def stored(seen: Seen, way: Way, trees: dict[str, np.ndarray]) -> Embedded:
    """Return a page as one way stores it.

    Args:
        trees: Of this page, by likeness: one serves every factor, and is kept here.
    """
    page, cells = seen.page, len(seen.page.groups)
    patches, prompt = page.vectors[:cells], page.vectors[cells:]
    if way.kind == "all":
        return page
    if way.kind == "states":
        assert seen.merged_states is not None
        return _pruned(page, torch.cat([seen.merged_states, prompt]))
    if way.kind in ("random", "score", "attention"):
        share = 1 - remaining(cells, way.factor) / cells + 1e-9
        return _pruned(page, torch.cat([patches[_kept(seen, way, share)], prompt]))
    if way.kind == "one":
        groups = torch.zeros(cells, dtype=torch.long)
        return replace(page, vectors=merge(patches, groups), groups=groups)
    if way.kind == "windows":
        groups = windows(page.grid, way.factor)
    elif way.kind == "runs":
        groups = runs(cells, way.factor)
    else:
        likeness = "profile" if way.kind == "clusters" else "distance"
        if likeness not in trees:
            trees[likeness] = tree(patches, likeness)
        groups = cut(trees[likeness], remaining(cells, way.factor))
    return replace(page, vectors=torch.cat([merge(patches, groups), prompt]), groups=groups)


def _kept(seen: Seen, way: Way, share: float) -> Tensor:
    number = len(seen.page.groups)
    if way.kind == "random":
        return kept_at_random(number, share, way.seed)
    if way.kind == "score":
        return kept_by_potential(seen.page.vectors[: len(seen.page.groups)], seen.queries, share)
    assert seen.attention is not None
    return kept_by_attention(seen.attention, share)


def _pruned(page: Embedded, vectors: Tensor) -> Embedded:
    """Return a page of which no patch has a vector to point with."""
    nowhere = torch.zeros(0, dtype=torch.long)
    return replace(page, vectors=vectors, groups=nowhere, grid=(0, 0))
