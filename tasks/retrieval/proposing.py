"""Proposes pages that may answer, by faiss; their exact scores decide (`tasks.retrieval.scoring`).

>>> proposals = proposals_of(index)                                                # doctest: +SKIP
>>> proposals.pages(question, most=256)                                            # doctest: +SKIP
array([17, 4, ...])

All vectors of an index lie in inverted lists, float16, memory-mapped: a word of a question looks
into the lists nearest to it. They are made once for the pages that an index has now, and again when
pages come or go.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import faiss
import numpy as np
from torch import Tensor

from models.engine.whole import discard
from tasks.retrieval.index import PageIndex
from tasks.running.private import runtime

PROBED, NEIGHBOURS = 32, 512  # lists that a word looks into, and vectors that it brings back
ROWS_AT_ONCE = 2**16
SEED = 0


class Proposals:
    """The vectors of an index in inverted lists; a vector's name there is the place of its page.

    Args:
        lists: Of faiss.
    """

    def __init__(self, lists: faiss.IndexIVF):
        self.lists = lists
        lists.nprobe = PROBED

    def pages(self, question: Tensor, most: int) -> np.ndarray:
        """Return places of pages among the entries of the index, the most promising first.

        A page's promise is the sum of what its vectors that came back are worth to each word; a
        word that brought none of them back gives as much as the last that it did bring.

        Args:
            question: [vectors, width].
        """
        words = np.ascontiguousarray(question.float().numpy())
        near, owners = self.lists.search(words, NEIGHBOURS)
        there = owners >= 0
        pages, numbers = np.unique(owners[there], return_inverse=True)
        rows = np.broadcast_to(np.arange(len(words))[:, None], owners.shape)[there]
        least = np.where(there, near, np.inf).min(axis=1)  # of a word that found nothing: infinite
        least = np.where(np.isfinite(least), least, 0.0)
        promise = np.repeat(least[:, None], len(pages), axis=1)
        np.maximum.at(promise, (rows, numbers), near[there])
        total = promise.sum(axis=0)
        best = np.argsort(-total, kind="stable")[:most]
        return pages[best]


def proposals_of(index: PageIndex) -> Proposals:
    """Open the lists of an index; make them where pages have come or gone.

    They are kept in `.runtime/proposals`, as an index that a stage made may not change.
    """
    told = json.dumps([asdict(index.made), index.segments, sorted(index.deleted)])
    place = runtime(Path.cwd()) / "proposals"
    of_this = _sum(str(index.folder.resolve()))
    file = place / f"{of_this}-{_sum(told)}.faiss"
    if not file.exists():
        place.mkdir(exist_ok=True)
        for old in place.glob(f"{of_this}-*"):
            discard(old)
        _make(index, file)
    return Proposals(faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY))


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make(index: PageIndex, file: Path) -> None:
    places = {entry.id: place for place, entry in enumerate(index.entries)}
    total = sum(entry.after for entry in index.entries)
    number = max(1, min(int(4 * total**0.5), total // 39))  # faiss wants 39 vectors a list
    width = index.made.width
    lists = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(width), width, number, faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT, False,
    )  # fmt: skip
    lists.cp.seed = SEED
    lists.train(_sample(index, min(total, 64 * number)))
    for block in index.blocks(ROWS_AT_ONCE):
        owners = [places[entry.id] for entry in block.entries]
        names = np.repeat(owners, [entry.after for entry in block.entries])
        lists.add_with_ids(block.vectors.float().numpy(), names)
    part = file.with_suffix(".new")
    faiss.write_index(lists, str(part))
    part.replace(file)


def _sample(index: PageIndex, number: int) -> np.ndarray:
    """Return vectors of all pages, so many in all."""
    rng = np.random.default_rng(SEED)
    total = sum(entry.after for entry in index.entries)
    kept = np.zeros(total, dtype=bool)
    kept[rng.choice(total, number, replace=False)] = True
    rows, first = [], 0
    for block in index.blocks(ROWS_AT_ONCE):
        some = kept[first : first + len(block.vectors)]
        rows.append(block.vectors[some].float().numpy())
        first += len(block.vectors)
    return np.concatenate(rows)
