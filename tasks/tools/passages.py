"""Searches the passages of a corpus by their words (BM25), in an index on disk.

>>> write_index(reader.passages(), Path("outputs/passages"))                       # doctest: +SKIP
>>> tool = PassageIndex.open(Path("outputs/passages"))                             # doctest: +SKIP
>>> tool.search("Where is the blue triangle made?", 1)[0].text                     # doctest: +SKIP
'The blue triangle is made in town 12.'

bm25s computes the scores. We rank them ourselves: its own top-k leaves passages of equal score to
chance, and takes JAX where that is installed. Of equal ones the first id in the order of code
points comes first.

A word is any run of letters and digits, also of one ("land 5"), stemmed as English. Stop words are
in the index, as "The Who" is found by nothing else, and are looked for where a query has no other
words: each is in nearly all passages, which costs time and ranks nothing.

The folder has the scores by word (bm25s' files, memory-mapped), the passages as an Arrow file
(memory-mapped, too), the order of their ids, and `index.json`. It is renamed into its place when
all of it is on the disk. Not covered: languages that write no blanks between words.
"""

import functools
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from models.engine.whole import discard, partial, swap, sync
from tasks.records.passages import Passage
from tasks.running.errors import UserError
from tasks.running.progress import track
from tasks.tools.search import Hit, is_query

INDEX, PASSAGES, ORDER = "index.json", "passages.arrow", "order.npy"
ROWS = 4096  # of a batch of the Arrow file
WORD = re.compile(r"\w+")
# What an index depends on besides its corpus.
HOW = {"method": "lucene", "k1": 1.5, "b": 0.75, "stemmer": "english", "words": WORD.pattern}
SCHEMA = pa.schema([(name, pa.large_string()) for name in ("id", "title", "text")])


@dataclass(frozen=True)
class Made:
    """What an index was made of.

    Attributes:
        corpus: A sum over all passages in their order.
        passages: How many those are.
    """

    corpus: str
    passages: int


class PassageIndex:
    """The passages of a corpus as a `tasks.tools.search.SearchTool`."""

    def __init__(self, folder: Path, made: Made):
        self.made = made
        self._bm25 = _bm25s().BM25.load(folder, mmap=True, backend="numpy", show_progress=False)
        self._rows = pa.ipc.open_file(pa.memory_map(str(folder / PASSAGES)))
        self._order = np.load(folder / ORDER, mmap_mode="r")

    @classmethod
    def open(cls, folder: Path, corpus: str = "") -> "PassageIndex":
        """Open an index.

        Args:
            corpus: What `Made.corpus` has to be, where that matters.

        Raises:
            UserError: There is none, it is damaged, or it is of another corpus.
        """
        made = _made(folder)
        if corpus and made.corpus != corpus:
            raise _other(folder, made, corpus)
        return cls(folder, made)

    def __len__(self) -> int:
        return self.made.passages

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the best passages; see `tasks.tools.search.SearchTool`."""
        known = self._known(query) if is_query(query) else []
        if not known:
            return []
        scores = self._bm25.get_scores_from_ids(known)
        return [self._hit(int(row), float(scores[row])) for row in best(scores, self._order, k)]

    def _known(self, query: str) -> list[int]:
        """Return the numbers of a query's words that some passage has, in their order.

        Sums of rounded numbers depend on their order: "blue town" has the scores of "town blue".
        """
        found = WORD.findall(query.lower())
        telling = [word for word in found if word not in _stop_words()] or found
        numbers = self._bm25.vocab_dict
        return sorted(numbers[stem] for stem in _stemmer().stemWords(telling) if stem in numbers)

    def _hit(self, row: int, score: float) -> Hit:
        batch = self._rows.get_batch(row // ROWS)
        id, title, text = (batch.column(n)[row % ROWS].as_py() for n in range(3))
        return Hit(id, title, text, score=score)


def best(scores: np.ndarray, order: np.ndarray, most: int) -> np.ndarray:
    """Return the rows of the best scores above 0, of equal ones the first in an order.

    >>> best(np.array([1.0, 3.0, 0.0, 1.0, 1.0]), np.array([2, 4, 3, 1, 0]), 3).tolist()
    [1, 4, 3]
    """
    found = np.flatnonzero(scores > 0)
    if most < 1:
        return found[:0]
    if len(found) > most:
        least = np.partition(scores[found], -most)[-most]
        found = found[scores[found] >= least]
    return found[np.lexsort((order[found], -scores[found]))][:most]


def write_index(passages: Iterable[Passage], folder: Path) -> Made:
    """Index passages into a folder, and return what it was made of.

    Nothing is made anew where the folder has the index of these passages already.

    Raises:
        UserError: There are no passages, or the folder has an index of others.
        ValueError: Two have the same id.
    """
    parts = partial(folder)
    discard(parts)  # a kill left it
    parts.mkdir(parents=True)
    try:
        made = _write_passages(passages, parts)
        if (folder / INDEX).exists():
            if (there := _made(folder)) != made:
                raise _other(folder, there, made.corpus)
            return made
        _write_scores(parts)
        sizes = {file.name: file.stat().st_size for file in sorted(parts.iterdir())}
        told = {"made": asdict(made), "how": HOW, "bytes": sizes}
        (parts / INDEX).write_text(json.dumps(told, indent=1) + "\n")
        for file in parts.iterdir():
            sync(file)
        sync(parts)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # a stage finds its folder made
        swap(folder)
    finally:
        discard(parts)
    return made


def _write_passages(passages: Iterable[Passage], folder: Path) -> Made:
    """Write passages in their order, and the place of each in the order of ids."""
    total, ids = hashlib.sha256(), []
    with pa.OSFile(str(folder / PASSAGES), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for some in _batches(passages):
            columns = [[getattr(one, name) for one in some] for name in SCHEMA.names]
            for one in some:
                for part in (one.id, one.title, one.text):
                    data = part.encode()
                    total.update(len(data).to_bytes(8, "little") + data)
            ids += columns[0]
            writer.write_batch(pa.record_batch(columns, SCHEMA))
    if not ids:
        raise UserError(
            f"There is nothing to search in {folder.name.removesuffix('.partial')}",
            "the corpus has no passage that can be used",
            "name a corpus of JSONL or Parquet with an id and a text in each row",
        )
    if len(set(ids)) < len(ids):
        raise ValueError("two passages of a corpus have the same id")
    order = np.empty(len(ids), dtype=np.int32)
    order[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids), dtype=np.int32)
    np.save(folder / ORDER, order)
    return Made(total.hexdigest(), len(ids))


def _write_scores(folder: Path) -> None:
    """Score every word of the passages that are in a folder already."""
    numbers = _Numbers()
    words: list[list[int]] = []
    with pa.memory_map(str(folder / PASSAGES)) as file:
        rows = pa.ipc.open_file(file)
        for n in track(range(rows.num_record_batches), "reading words", rows.num_record_batches):
            batch = rows.get_batch(n)
            texts = zip(batch["title"].to_pylist(), batch["text"].to_pylist(), strict=True)
            words += [
                [numbers[word] for word in WORD.findall(f"{title}\n{text}".lower())]
                for title, text in texts
            ]
    if not numbers.stems:  # pictures of words, or signs only: nothing is found, and it is an index
        numbers["a"]
    made = _bm25s().BM25(k1=HOW["k1"], b=HOW["b"], method=HOW["method"], backend="numpy")
    with np.errstate(invalid="ignore"):  # where no passage has a word, their mean length is 0
        made.index((words, numbers.stems), create_empty_token=False, show_progress=False)
    made.save(folder, show_progress=False)


class _Numbers(dict[str, int]):
    """The number of the stem of each word; a new word gets the next one."""

    def __init__(self) -> None:
        self.stems: dict[str, int] = {}
        self._stemmer = _stemmer()

    def __missing__(self, word: str) -> int:
        stem = self._stemmer.stemWord(word)
        number = self[word] = self.stems.setdefault(stem, len(self.stems))
        return number


def _batches(passages: Iterable[Passage]) -> Iterator[list[Passage]]:
    some: list[Passage] = []
    for one in passages:
        some.append(one)
        if len(some) == ROWS:
            yield some
            some = []
    if some:
        yield some


def _made(folder: Path) -> Made:
    """Return what the index of a folder was made of, if all its files are there.

    Raises:
        UserError: They are not, or it was made in another way.
    """
    try:
        told = json.loads((folder / INDEX).read_text())
        made, how, sizes = Made(**told["made"]), told["how"], dict(told["bytes"])
    except FileNotFoundError:
        raise UserError(
            f"There is no index of passages in {folder}",
            f"{INDEX} is missing",
            "make one with `tasks.tools.passages.write_index`, or name its folder",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The index of passages {folder} cannot be read",
            f"{INDEX} is damaged ({type(error).__name__})",
            "delete the folder and make it again",
        ) from None
    wrong = [name for name, size in sizes.items() if _size(folder / name) != size]
    if wrong or how != HOW:
        raise UserError(
            f"The index of passages {folder} cannot be used",
            f"{', '.join(wrong)}: missing or of another size" if wrong else
            f"it was made with {how}, and queries are read with {HOW}",
            "delete the folder and make it again",
        )  # fmt: skip
    return made


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else -1


def _other(folder: Path, there: Made, wanted: str) -> UserError:
    return UserError(
        f"{folder} is the index of another corpus",
        f"its {there.passages:,} passages have the sum {there.corpus[:12]}, and {wanted[:12]} is "
        "wanted: hits and scores of both cannot be compared",
        "name another folder, or delete this one and make it again",
    )


@functools.cache
def _bm25s() -> ModuleType:
    """Import bm25s, but JAX not with it.

    It would compute something with JAX when it is imported, which takes three quarters of a GPU's
    memory away from whoever trains there.

    Raises:
        UserError: It is not installed.
    """
    before = sys.modules.get("jax")
    sys.modules["jax"] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        import bm25s
    except ImportError:
        raise _missing("bm25s") from None
    finally:
        del sys.modules["jax"]
        if before:
            sys.modules["jax"] = before
    return bm25s


def _stemmer() -> Any:
    """Return a stemmer; a new one, as none may be used by two threads at once.

    Raises:
        UserError: PyStemmer is not installed.
    """
    try:
        import Stemmer
    except ImportError:
        raise _missing("PyStemmer") from None
    return Stemmer.Stemmer(HOW["stemmer"])


@functools.cache
def _stop_words() -> frozenset[str]:
    return frozenset(_bm25s().stopwords.STOPWORDS_EN)


def _missing(name: str) -> UserError:
    return UserError(
        "Passages cannot be searched",
        f"{name} is not installed",
        "`pip install 'collimate[search]'`",
    )
