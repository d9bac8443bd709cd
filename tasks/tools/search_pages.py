"""Searches pages that are pictures: whatever finds pages is a search tool whose hits are pictures.

>>> finder = IndexFinder.open(index, retriever, pages, "cpu")                      # doctest: +SKIP
>>> [hit] = PageSearch(finder).search("What was sold in May?", 1)                  # doctest: +SKIP
>>> hit.title, len(hit.pictures)                                                   # doctest: +SKIP
('sales.pdf, page 3', 1)

`IndexFinder` finds them in an index of Light-ColPali. Another retriever needs one method,
`search(text, k)`, that returns pages with scores.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
from sentence_transformers import MultiVectorEncoder

from tasks.records.pages import Page
from tasks.retrieval.embedding import embed_questions, open_maker
from tasks.retrieval.index import PageIndex
from tasks.retrieval.scoring import How, search
from tasks.running.errors import UserError
from tasks.tools.search import Hit, is_query

KEPT = 64  # pages in memory; of 768 tokens each has about a megabyte


@dataclass(frozen=True)
class FoundPage:
    """A page that was found."""

    page: Page
    score: float


class PageFinder(Protocol):
    """Whatever finds pages."""

    def search(self, text: str, k: int) -> Sequence[FoundPage]:
        """Return at most `k` pages, the best first."""
        ...


class PageSearch:
    """Whatever finds pages as a `tasks.tools.search.SearchTool`."""

    def __init__(self, finder: PageFinder):
        self.finder = finder

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the best pages, each as its picture; see `tasks.tools.search.SearchTool`."""
        if not is_query(query) or k < 1:
            return []
        return [_hit(found) for found in self.finder.search(query, k)[:k]]


class IndexFinder:
    """Finds pages in an index of Light-ColPali.

    Args:
        encoder: The retriever that made the index.
        pages: The folder with the pictures of its pages.

    Raises:
        UserError: The folder lacks some of them.
    """

    def __init__(
        self, index: PageIndex, encoder: MultiVectorEncoder, pages: Path, how: How = "auto"
    ):
        self.index, self.encoder, self.how = index, encoder, how
        self.shelf = Shelf(pages)
        lost = [entry.id for entry in index.entries if entry.id not in self.shelf]
        if lost:
            raise UserError(
                f"{len(lost)} of {len(index)} pages of {index.folder} cannot be shown",
                f"{pages} does not have them, the first is {lost[0]}",
                "name the folder of pages that the index was made of",
            )

    @classmethod
    def open(
        cls, index: Path, retriever: Path, pages: Path, device: str = "auto", how: How = "auto"
    ) -> "IndexFinder":
        """Open an index, the retriever that made it, and its pages.

        Raises:
            UserError: One of them cannot be opened, or they do not belong together.
        """
        opened = PageIndex.open(index)
        return cls(opened, open_maker(opened, retriever, device), pages, how)

    def search(self, text: str, k: int) -> list[FoundPage]:
        """Return the best pages; see `PageFinder`."""
        [found] = search(self.index, embed_questions(self.encoder, [text]), k, self.how)
        return [FoundPage(self.shelf.page(one.page), one.score) for one in found]


class Shelf:
    """The pages of a folder by their names, read when they are wanted."""

    def __init__(self, folder: Path):
        self._shards = {
            id: file
            for file in sorted(folder.glob("part-*.parquet"))
            for id in pq.read_table(file, columns=["id"])["id"].to_pylist()
        }
        self.page = functools.lru_cache(KEPT)(self._page)

    def __contains__(self, id: str) -> bool:
        return id in self._shards

    def _page(self, id: str) -> Page:
        """Return a page; of the shard that has it, at most 64 MB are read."""
        columns = ["id", "document", "number", "image"]
        table = pq.read_table(self._shards[id], columns=columns, filters=[("id", "=", id)])
        return Page(**table.to_pylist()[0])


def _hit(found: FoundPage) -> Hit:
    page = found.page
    return Hit(page.id, f"{page.document}, page {page.number}", "", (page.image,), found.score)
