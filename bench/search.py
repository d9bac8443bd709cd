"""Searching 5,000 pages: ours on disk beside what colpali-engine and transformers do in memory.

`make bench-search` prints the figures and writes `bench/search.json`. Pages are drawn from a
mixture: each shows some of many topics, and its patches scatter around them; merged pages have the
clusters of `models.retrieval.merging` at 9. One question at a time, in turns in one process, with
as many threads as there are cores; medians. colpali-engine is measured where it is installed (`pip
install --no-deps colpali-engine`); its scores are those of transformers' `ColQwen2Processor`.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from models.retrieval.merging import clusters, merge
from tasks.retrieval.index import Embedded, Made, PageIndex
from tasks.retrieval.proposing import proposals_of
from tasks.retrieval.scoring import search

PAGES, GRID, PROMPT, WIDTH, FACTOR = 5000, (24, 32), 5, 128, 9.0
TOPICS, OF_A_PAGE, SCATTER = 4000, 40, 0.9
WORDS, QUESTIONS, REPEATS = 30, 40, 5
WHERE = Path(__file__).with_name("search.json")
FOLDER = Path(".runtime") / "bench" / "search"


@cache
def shared() -> tuple[torch.Tensor, torch.Tensor]:
    """Return what all vectors have in common, as those of retrievers do, and the topics."""
    draw = torch.Generator().manual_seed(0)
    return torch.randn(WIDTH, generator=draw), torch.randn(TOPICS, WIDTH, generator=draw)


def page_vectors(number: int) -> torch.Tensor:
    """Return all vectors of a page, [773, 128], float16: patches in runs of a topic, the prompt."""
    draw = torch.Generator().manual_seed(number)
    common, topics = shared()
    mine = topics[torch.randint(TOPICS, (OF_A_PAGE,), generator=draw)]
    own = 0.6 * torch.randn(OF_A_PAGE, WIDTH, generator=draw)  # a topic's words differ by page
    patches = GRID[0] * GRID[1]
    shown = torch.randint(OF_A_PAGE, (patches // 4,), generator=draw).repeat_interleave(4)
    rows = common + (mine + own)[shown] + SCATTER * torch.randn(patches, WIDTH, generator=draw)
    prompt = common + torch.randn(PROMPT, WIDTH, generator=torch.Generator().manual_seed(7))
    return normalize(torch.cat([rows, prompt]), dim=-1).half()


def question(number: int) -> torch.Tensor:
    """Return the vectors of a question: noisy ones of patches of a page, and of no page."""
    draw = torch.Generator().manual_seed(10**6 + number)
    page = page_vectors(number * 97 % PAGES).float()
    rows = page[torch.randint(GRID[0] * GRID[1], (WORDS - 10,), generator=draw)]
    noise = torch.randn(rows.shape, generator=draw) / WIDTH**0.5
    return normalize(
        torch.cat([rows + 0.9 * noise, torch.randn(10, WIDTH, generator=draw)]), dim=-1
    )


def embedded(number: int) -> Embedded:
    """Return a page as the index stores it."""
    rows = page_vectors(number).float()
    patches = GRID[0] * GRID[1]
    groups = clusters(rows[:patches], FACTOR)
    vectors = torch.cat([merge(rows[:patches], groups), rows[patches:]]).half()
    return Embedded(f"p{number:05d}", "book", number, vectors, groups, GRID, (896, 672))


def make_index() -> PageIndex:
    """Return the index of all merged pages, made once."""
    made = Made("bench", WIDTH, "clusters", FACTOR)
    index = PageIndex.create(FOLDER / "index", made)
    if len(index) < PAGES:
        shutil.rmtree(FOLDER / "index")
        index = PageIndex.create(FOLDER / "index", made)
        with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for first in range(0, PAGES, 500):
                index.add(list(pool.map(embedded, range(first, first + 500), chunksize=20)))
    return index


def their_scores() -> tuple[str, Callable[[list, list], torch.Tensor]]:
    """Return what compares questions with pages elsewhere, and its name."""
    try:
        from colpali_engine.utils.processing_utils import BaseVisualRetrieverProcessor as Colpali

        return "colpali-engine", lambda qs, ps: Colpali.score_multi_vector(qs, ps, device="cpu")
    except ImportError:
        from transformers import ColQwen2Processor

        return "transformers", lambda qs, ps: ColQwen2Processor.score_retrieval(None, qs, ps)


def measure() -> dict[str, Any]:
    """Return seconds, ratios, agreement and memory."""
    index = make_index()
    proposals_of(index)
    questions = [question(n) for n in range(QUESTIONS)]
    name, scores = their_scores()
    merged = [index.vectors(entry).float() for entry in index.entries]
    whole = [page_vectors(entry.number).float() for entry in index.entries]
    arms: dict[str, Callable[[torch.Tensor], Any]] = {
        f"{name}, all vectors": lambda q: scores([q], whole),
        f"{name}, merged": lambda q: scores([q], merged),
        "exact": lambda q: search(index, [q], 5, "exact"),
        "fast": lambda q: search(index, [q], 5, "fast"),
    }
    try:
        import numkong

        packed = [numkong.maxsim_pack(rows.numpy()) for rows in merged]

        def kernel(q: torch.Tensor) -> np.ndarray:
            words = numkong.maxsim_pack(q.numpy())
            return np.array([numkong.maxsim_packed(words, page) for page in packed])

        arms["numkong, merged"] = kernel
    except ImportError:
        pass
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    for n in range(REPEATS + 1):
        for arm, ask in arms.items():
            began = time.perf_counter()
            ask(questions[n])
            if n:  # the first one warms caches
                seconds[arm].append(time.perf_counter() - began)
    medians = {arm: statistics.median(some) for arm, some in seconds.items()}
    best = [search(index, [q], 5, "exact")[0] for q in questions]
    fast = [search(index, [q], 5, "fast")[0] for q in questions]
    theirs = scores(questions, merged)
    ours = {entry.id: place for place, entry in enumerate(index.entries)}
    apart = max(
        abs(one.score - float(theirs[n, ours[one.page]]))
        for n, found in enumerate(best)
        for one in found
    )
    memory = _memory()
    return {
        "seconds": medians, "spread": {a: [min(s), max(s)] for a, s in seconds.items()},
        "exact_over_all_vectors": medians[f"{name}, all vectors"] / medians["exact"],
        "exact_over_merged": medians[f"{name}, merged"] / medians["exact"],
        "fast_over_merged": medians[f"{name}, merged"] / medians["fast"],
        "same_top_5": statistics.fmean(
            len({o.page for o in a} & {o.page for o in b}) / 5
            for a, b in zip(best, fast, strict=True)
        ),
        "same_first": statistics.fmean(
            a[0].page == b[0].page for a, b in zip(best, fast, strict=True)
        ),
        "scores_apart": apart, "bytes": index.bytes, "memory": memory,
        "similarities": _similarities(whole), "pages": PAGES, "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }  # fmt: skip


def _similarities(pages: Sequence[torch.Tensor]) -> dict[str, float]:
    """Return the mean similarity of patches of one page, and of two."""
    a, b = pages[0][:-PROMPT], pages[1][:-PROMPT]
    return {"within": float((a @ a.T).mean()), "across": float((a @ b.T).mean()),
            "nearest": float((a @ a.T).fill_diagonal_(-1).amax(1).mean())}  # fmt: skip


def _memory() -> dict[str, float]:
    """Return what a process takes at most, in bytes, before and after an exact search."""
    told = subprocess.run(
        [sys.executable, "-m", "bench.search", "memory"], capture_output=True, text=True, check=True
    )
    return json.loads(told.stdout.splitlines()[-1])


def _search_alone() -> None:
    index = PageIndex.open(FOLDER / "index")
    words = question(0)
    before = _peak()
    search(index, [words], 5, "exact")
    print(json.dumps({"before": before, "after": _peak()}))


def _peak() -> float:
    [line] = [s for s in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in s]
    return 1024.0 * int(line.split()[1])


if __name__ == "__main__":
    if sys.argv[1:] == ["memory"]:
        _search_alone()
    else:
        found = json.dumps(measure(), indent=1)
        print(found)
        WHERE.write_text(found + "\n")
