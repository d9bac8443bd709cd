"""Pages that are drawn as vectors, for tests of what searches them."""

from pathlib import Path

import torch

from tasks.retrieval.index import Embedded, Made, PageIndex

WIDTH = 16


def rows_of(seed: int, number: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(number, WIDTH, generator=draw), dim=-1)


def drawn_index(folder: Path, pages: int, each: int = 12) -> PageIndex:
    """An index of pages with some more vectors, or fewer, each."""
    index = PageIndex.create(folder, Made("model 1", WIDTH, "clusters", 9.0))
    some = []
    for n in range(pages):
        number = each + n % 3
        some.append(Embedded(f"doc{n % 7}.pdf#{n}", f"doc{n % 7}.pdf", n, rows_of(n, number),
                             torch.arange(number), (1, number), (96, 72)))  # fmt: skip
    for first in range(0, pages, 100):
        index.add(some[first : first + 100])
    return index


def asked_about(index: PageIndex, number: int, words: int = 6) -> list[torch.Tensor]:
    """Questions whose words are noisy vectors of one page each."""
    draw = torch.Generator().manual_seed(5)
    found = []
    for n in range(number):
        rows = index.vectors(index.entries[n * 7 % len(index)]).float()[:words]
        noisy = rows + 0.15 * torch.randn(rows.shape, generator=draw)
        found.append(torch.nn.functional.normalize(noisy, dim=-1))
    return found
