"""An index of pages on disk: their vectors in segments, and what is known of each page.

>>> with PageIndex.open(Path("outputs/page_index")) as index:                      # doctest: +SKIP
...     index.add(embedded)
...     len(index), index.bytes
(800, 2457600)

A segment is what was added at once: `segments/000000.safetensors` has its vectors, float16, memory-
mapped, and `000000.parquet` a row for each of its pages. Neither changes any more. `index.json`
names the segments and the pages that were deleted, and is written last: whatever moment a kill
picks, the index is as it was before or as it is now. `compact` takes out what was deleted.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from models.engine.whole import discard, write_whole, written_whole
from tasks.running.errors import UserError

INDEX, SEGMENTS = "index.json", "segments"
BYTES = 2  # of a number


@dataclass(frozen=True)
class Made:
    """What all pages of an index have in common: others cannot be compared with them.

    Attributes:
        model: A name that changes when its vectors may.
        width: Of a vector.
        strategy, factor, likeness: How patches were merged.
    """

    model: str
    width: int
    strategy: str = "none"
    factor: float = 1.0
    likeness: str = "profile"


@dataclass(frozen=True)
class Embedded:
    """A page as vectors.

    Attributes:
        vectors: Float16 or wider, [vectors, width]: merged patches, then rows of the prompt.
        groups: The vector of each patch, [patches], row by row of the grid.
        grid: Rows and columns of the patches.
        size: Width and height of the picture in pixels.
        thumbnail: A small picture, encoded.
    """

    id: str
    document: str
    number: int
    vectors: Tensor = field(repr=False)
    groups: Tensor = field(repr=False)
    grid: tuple[int, int]
    size: tuple[int, int]
    thumbnail: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Entry:
    """What an index knows of a page.

    Attributes:
        segment: The part that has its vectors; `first` is its first row there.
        before: Vectors that it would have without merging.
        after: Vectors that it has.
        groups: As in `Embedded`.
    """

    id: str
    document: str
    number: int
    width: int
    height: int
    rows: int
    columns: int
    before: int
    after: int
    segment: str
    first: int
    groups: list[int] = field(repr=False)
    thumbnail: bytes = field(repr=False)


@dataclass(frozen=True)
class Block:
    """Pages of one segment that have as many vectors each, one after the other.

    Attributes:
        vectors: [pages * each, width], float16, on disk.
    """

    entries: Sequence[Entry]
    vectors: Tensor = field(repr=False)


class PageIndex:
    """An index in a folder.

    Attributes:
        made: What its pages have in common.
        entries: Its pages, in the order in which they came.
    """

    def __init__(
        self, folder: Path, made: Made, segments: Sequence[str] = (), deleted: Iterable[str] = ()
    ):
        self.folder, self.made = folder, made
        self.segments, self.deleted = list(segments), set(deleted)
        self.entries = [
            entry for name in self.segments
            for entry in _entries(folder / SEGMENTS / f"{name}.parquet")
            if _place(entry) not in self.deleted
        ]  # fmt: skip
        self._open: dict[str, Tensor] = {}

    @classmethod
    def create(cls, folder: Path, made: Made) -> "PageIndex":
        """Return the index of a folder, or a new one that is made in the same way.

        Raises:
            UserError: There is one, and it was made in another way.
        """
        if (folder / INDEX).exists():
            index = cls.open(folder)
            if index.made != made:
                told = [
                    f"{name} is {ours} there, and {theirs} here"
                    for (name, ours), theirs in zip(
                        asdict(index.made).items(), asdict(made).values(), strict=True
                    )
                    if ours != theirs
                ]
                raise UserError(
                    f"The index {folder} has other vectors",
                    "; ".join(told),
                    "make another index, or delete this one",
                )
            return index
        folder.mkdir(parents=True, exist_ok=True)
        index = cls(folder, made)
        index._commit()
        return index

    @classmethod
    def open(cls, folder: Path) -> "PageIndex":
        """Open the index of a folder.

        Raises:
            UserError: There is none, or it is damaged.
        """
        try:
            told = json.loads((folder / INDEX).read_text())
            return cls(folder, Made(**told["made"]), told["segments"], told["deleted"])
        except FileNotFoundError as error:
            raise UserError(
                f"There is no index in {folder}",
                f"{Path(error.filename or INDEX).name} is missing",
                "make one with `python -m flows.retrieve`, or name its folder",
            ) from None
        except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise UserError(
                f"The index {folder} cannot be read",
                f"{INDEX} or a table of its pages is damaged ({error})",
                "make it again",
            ) from None

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, page: str) -> bool:
        return any(entry.id == page for entry in self.entries)

    def __enter__(self) -> "PageIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.clear()

    @property
    def bytes(self) -> int:
        """Bytes of the vectors that are searched."""
        return BYTES * self.made.width * sum(entry.after for entry in self.entries)

    def add(self, pages: Sequence[Embedded]) -> None:
        """Add pages as one segment; all of them, or none.

        Raises:
            ValueError: One has another width, a number that is not finite, or a name that is
                there.
        """
        if not pages:
            return
        names = [page.id for page in pages]
        known = {entry.id for entry in self.entries}
        if len({*names, *known}) < len(names) + len(known):
            raise ValueError("a page of this name is in the index")
        ordered = sorted(pages, key=lambda page: len(page.vectors))  # equal lengths together
        rows = [page.vectors.to(torch.float16) for page in ordered]
        if any(some.shape[1] != self.made.width for some in rows):
            raise ValueError(f"an index of vectors of {self.made.width} numbers takes no others")
        if not all(some.isfinite().all() for some in rows):
            raise ValueError("a vector has a number that is not finite")
        segment, first, entries = self._next(), 0, []
        for page, some in zip(ordered, rows, strict=True):
            entries.append(_entry(page, segment, first, len(some)))
            first += len(some)
        self._write(segment, rows, entries)
        self.segments.append(segment)
        self.entries += entries
        self._commit()

    def delete(self, document: str) -> int:
        """Delete the pages of a document, and return how many there were."""
        gone = {_place(entry) for entry in self.entries if entry.document == document}
        if gone:
            self.deleted |= gone
            self.entries = [entry for entry in self.entries if _place(entry) not in gone]
            self._commit()
        return len(gone)

    def compact(self) -> None:
        """Write what is left into one segment, without what was deleted."""
        ordered = sorted(self.entries, key=lambda entry: entry.after)
        segment, first, entries = self._next(), 0, []
        for entry in ordered:
            entries.append(replace(entry, segment=segment, first=first))
            first += entry.after
        self._write(segment, [self.vectors(entry) for entry in ordered], entries)
        self._open.clear()
        self.entries, self.segments, self.deleted = entries, [segment], set()
        self._commit()

    def vectors(self, entry: Entry) -> Tensor:
        """Return the vectors of a page, [vectors, width], on disk."""
        return self._rows(entry.segment)[entry.first : entry.first + entry.after]

    def blocks(self, most: int) -> Iterator[Block]:
        """Yield all pages in blocks of at most so many vectors, of one page at least."""
        by_segment: dict[str, list[Entry]] = {}
        for entry in self.entries:
            by_segment.setdefault(entry.segment, []).append(entry)
        for segment, entries in by_segment.items():
            held: list[Entry] = []
            for entry in sorted(entries, key=lambda entry: entry.first):
                if held and not _follows(held, entry, most):
                    yield self._block(segment, held)
                    held = []
                held.append(entry)
            if held:
                yield self._block(segment, held)

    def _block(self, segment: str, held: list[Entry]) -> Block:
        first, last = held[0], held[-1]
        return Block(held, self._rows(segment)[first.first : last.first + last.after])

    def _rows(self, segment: str) -> Tensor:
        """Return the vectors of a segment, memory-mapped.

        Raises:
            UserError: It is missing, or was cut.
        """
        if segment not in self._open:
            file = self.folder / SEGMENTS / f"{segment}.safetensors"
            try:
                with safe_open(file, framework="pt") as opened:
                    rows = opened.get_tensor("vectors")
            except (SafetensorError, OSError) as error:
                raise UserError(
                    f"A part of the index {self.folder} cannot be read",
                    f"{file.name} is missing or damaged ({error})",
                    "make the index again",
                ) from None
            needed = max(e.first + e.after for e in self.entries if e.segment == segment)
            if rows.shape[1:] != (self.made.width,) or len(rows) < needed:
                raise UserError(
                    f"A part of the index {self.folder} cannot be read",
                    f"{file.name} has {list(rows.shape)} numbers, and {needed} rows of "
                    f"{self.made.width} are needed",
                    "make the index again",
                )
            self._open[segment] = rows
        return self._open[segment]

    def _next(self) -> str:
        return f"{1 + max(map(int, self.segments), default=-1):06d}"

    def _write(self, segment: str, rows: Sequence[Tensor], entries: Sequence[Entry]) -> None:
        folder = self.folder / SEGMENTS
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / f"{segment}.parquet") as stream:
            table = pa.Table.from_pylist([asdict(entry) for entry in entries], SCHEMA)
            pq.write_table(table, stream)
        empty = torch.empty(0, self.made.width, dtype=torch.float16)
        vectors = {"vectors": torch.cat([empty, *(some.cpu() for some in rows)])}
        with written_whole(folder / f"{segment}.safetensors") as stream:
            stream.write(save(vectors))

    def _commit(self) -> None:
        """Write `index.json`, then delete what it does not name: what a kill left, old parts."""
        told = {
            "made": asdict(self.made), "segments": self.segments,
            "deleted": sorted(self.deleted), "pages": len(self.entries), "bytes": self.bytes,
            "number": "float16",
        }  # fmt: skip
        write_whole(self.folder / INDEX, json.dumps(told, indent=1) + "\n")
        for file in (self.folder / SEGMENTS).glob("*"):
            if file.name.partition(".")[0] not in self.segments:
                discard(file)


SCHEMA = pa.schema([
    ("id", pa.string()), ("document", pa.string()), ("number", pa.int32()),
    ("width", pa.int32()), ("height", pa.int32()), ("rows", pa.int32()), ("columns", pa.int32()),
    ("before", pa.int32()), ("after", pa.int32()), ("segment", pa.string()),
    ("first", pa.int64()), ("groups", pa.list_(pa.int32())), ("thumbnail", pa.binary()),
])  # fmt: skip


def _follows(held: list[Entry], entry: Entry, most: int) -> bool:
    """Return whether a page continues a block: as long, right behind, and there is room."""
    last = held[-1]
    beside = entry.after == last.after and entry.first == last.first + last.after
    return beside and (len(held) + 1) * entry.after <= most


def _entry(page: Embedded, segment: str, first: int, after: int) -> Entry:
    prompt = after - (int(page.groups.max()) + 1 if len(page.groups) else 0)
    return Entry(
        page.id, page.document, page.number, *page.size, *page.grid,
        before=len(page.groups) + prompt, after=after, segment=segment, first=first,
        groups=page.groups.tolist(), thumbnail=page.thumbnail,
    )  # fmt: skip


def _entries(table: Path) -> list[Entry]:
    return [Entry(**row) for row in pq.read_table(table).to_pylist()]


def _place(entry: Entry) -> str:
    """Return where a page is: a page that is added again after it was deleted is another one."""
    return f"{entry.segment}:{entry.first}"


def cell_values(entry: Entry, values: Iterable[float]) -> np.ndarray:
    """Return a value for each patch of a page from those of its vectors, [rows, columns].

    One row where nobody tells the grid.
    """
    return np.array(list(values))[entry.groups].reshape(entry.rows or 1, entry.columns)
