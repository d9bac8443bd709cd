"""Searching 200,000 passages: ours on disk beside bm25s alone, as its documentation uses it.

`python -m bench.search_tools` prints the figures and writes `bench/search_tools.json`; with a
number behind it so many passages are searched, and nothing is written. A passage has 100 words,
drawn as often as those of English are (Zipf), and a query six of one passage. Both ways in one
process, query by query in turns; medians, and the slowest of twenty.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import Stemmer

from tasks.records.passages import Passage
from tasks.tools.passages import PassageIndex, write_index

PASSAGES, WORDS, VOCABULARY = 200_000, 100, 200_000
QUERIES, ASKED, FOUND = 200, 6, 4
WHERE = Path(__file__).with_name("search_tools.json")
FOLDER = Path(".runtime") / "bench" / "search_tools"


def passages(number: int) -> Iterator[Passage]:
    """Yield passages of drawn words."""
    draw = np.random.default_rng(0)
    chances = 1 / np.arange(1, VOCABULARY + 1)
    chances /= chances.sum()
    for n in range(number):
        words = " ".join(f"w{word}" for word in draw.choice(VOCABULARY, WORDS, p=chances))
        yield Passage(f"{n:06d}", f"title {n}", words)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long something takes, and what it returns."""
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


def measure(number: int) -> dict[str, Any]:
    """Return seconds of both ways, and how often they agree."""
    corpus = list(passages(number))
    texts = [f"{one.title}\n{one.text}" for one in corpus]
    shutil.rmtree(FOLDER, ignore_errors=True)
    seconds: dict[str, float] = {}
    seconds["index"], _ = timed(lambda: write_index(corpus, FOLDER))
    seconds["open"], index = timed(lambda: PassageIndex.open(FOLDER))
    stemmer = Stemmer.Stemmer("english")

    def theirs() -> bm25s.BM25:
        made = bm25s.BM25(backend="numpy")
        made.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False),
                   show_progress=False)  # fmt: skip
        return made

    seconds["bm25s_index"], other = timed(theirs)

    def ask(query: str) -> np.ndarray:
        words = bm25s.tokenize(query, stopwords="en", stemmer=stemmer, show_progress=False)
        return other.retrieve(words, k=FOUND, show_progress=False)[0][0]

    draw = np.random.default_rng(1)
    each: dict[str, list[float]] = {"query": [], "bm25s_query": []}
    same = []
    for n in range(QUERIES):
        words = corpus[int(draw.integers(number))].text.split()
        query = " ".join(draw.choice(words, ASKED, replace=False))
        ours_took, ours = timed(lambda query=query: index.search(query, FOUND))
        theirs_took, found = timed(lambda query=query: ask(query))
        if n:  # the first one reads from the disk
            each["query"].append(ours_took)
            each["bm25s_query"].append(theirs_took)
        same.append(len({hit.id for hit in ours} & {corpus[i].id for i in found}) / FOUND)
    for name, some in each.items():
        seconds[name] = statistics.median(some)
        seconds[f"{name}_slow"] = float(np.quantile(some, 0.95))
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    return {"passages": number, "seconds": seconds, "same_hits": statistics.fmean(same),
            "bytes": size, "bm25s": bm25s.__version__}  # fmt: skip


if __name__ == "__main__":
    told = measure(int(sys.argv[1]) if sys.argv[1:] else PASSAGES)
    print(json.dumps(told, indent=1))
    if not sys.argv[1:]:
        WHERE.write_text(json.dumps(told, indent=1) + "\n")
