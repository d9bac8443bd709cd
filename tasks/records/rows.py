"""What travels between stages: samples, rollouts, verdicts, preferences and scores.

Every record is a row of a Parquet shard with pictures as bytes. Hugging Face `datasets` reads the
folders directly with `load_dataset("parquet", data_dir=..., data_files="part-*.parquet")` (the
pattern leaves out `summary.json` and the records set aside), and TRL reads the prompts as they are.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, Image, List, Value
from pydantic import BaseModel, ConfigDict

from tasks.records.boxes import Box, boxes_from
from tasks.running.errors import UserError

ROWS_PER_SHARD = 4096
BYTES_PER_SHARD = 64 * 2**20  # of pictures and texts; writing them takes seven times as much memory
# What is read at a time.
ROWS_AT_ONCE = 64
BYTES_AT_ONCE = 256 * 2**20
PROSE = 1_000_000  # characters of any text; no model that we train reads as many
TEXT = Value("string")
BOXES = List(List(Value("float32")))
PICTURES = List(Image())


class Sample(BaseModel):
    """A question about pictures, with its true answer where one is known.

    Attributes:
        task: The kind of question; scores are reported by it.
        metric: The kind of answer and how it is scored (tasks/questions/).
        images: Encoded pictures, in the order in which the prompt sees them.
        corners: True boxes in pixels of the first picture.
        size: Width and height of the first picture in pixels, (0, 0) without pictures.
        final: The value that the answer tags must contain, for answers that reason first.
        details: What else a scorer needs.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    task: str
    split: str
    prompt: str
    metric: str = "exact"
    answer: str = ""
    images: list[bytes] = []
    corners: list[list[float]] = []
    size: tuple[int, int] = (0, 0)
    label: str = ""
    final: str = ""
    details: dict[str, Any] = {}

    @property
    def boxes(self) -> list[Box]:
        """The true boxes in their frame."""
        return boxes_from(self.corners, self.size)


SAMPLES = Features(
    {
        "id": TEXT,
        "task": TEXT,
        "split": TEXT,
        "prompt": TEXT,
        "metric": TEXT,
        "answer": TEXT,
        "images": PICTURES,
        "corners": BOXES,
        "size": List(Value("int32")),
        "label": TEXT,
        "final": TEXT,
        "details": TEXT,
    }
)
REJECTED = Features({"id": TEXT, "reason": TEXT, "source": TEXT})


def sample_row(sample: Sample) -> dict[str, Any]:
    """Return the Parquet row of a sample."""
    row = sample.model_dump()
    row["images"] = [{"bytes": data, "path": None} for data in sample.images]
    row["size"] = list(sample.size)
    row["details"] = json.dumps(sample.details)
    return row


def sample_of(row: dict[str, Any]) -> Sample:
    """Return the sample of a Parquet row (pictures undecoded)."""
    values = {name: row[name] for name in Sample.model_fields if row.get(name) is not None}
    values["images"] = [image["bytes"] for image in row.get("images") or []]
    values["details"] = json.loads(row.get("details") or "{}")
    return Sample.model_validate(values)


def write_shards(rows: Iterable[dict[str, Any]], folder: Path, features: Features) -> int:
    """Write rows as `part-*.parquet` as `datasets` expects them, and return their number.

    The rows are taken one after the other, so that they need not fit into memory together, and may
    come from the folder itself: the old parts go when all rows are written. Where the rows end in
    an error, the folder stays as it was.
    """
    known, partial = folder.exists(), folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir(parents=True)
    try:
        number = 0
        for part, chunk in enumerate(_chunks(rows)):
            write_table(chunk, partial / f"part-{part:05d}.parquet", features)
            number += len(chunk)
        old, new = _parts(folder), _parts(partial)
        for file in new:
            file.replace(folder / file.name)
        for name in {file.name for file in old} - {file.name for file in new}:
            (folder / name).unlink()
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not known and not any(folder.iterdir()):
            folder.rmdir()
    return number


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each shard; one without rows where there are none."""
    chunk: list[dict[str, Any]] = []
    size = chunks = 0
    for row in rows:
        if len(chunk) == ROWS_PER_SHARD or size > BYTES_PER_SHARD:
            yield chunk
            chunk, size, chunks = [], 0, chunks + 1
        chunk.append(row)
        size += _bytes_of(row)
    if chunk or not chunks:
        yield chunk


def _bytes_of(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        value = value.values()
    return sum(map(_bytes_of, value)) if isinstance(value, Iterable) else 8


def write_table(rows: list[dict[str, Any]], file: Path, features: Features) -> None:
    """Write rows as one Parquet file."""
    columns = {name: [row[name] for row in rows] for name in features}
    table = Dataset.from_dict(columns, features=features)
    pq.write_table(table.data.table, file, compression="zstd")


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard folder in order, pictures as `{"bytes": ...}`.

    Raises:
        UserError: A shard is damaged.
    """
    for part in _parts(folder):
        with part.open("rb") as file:
            for batch in read_batches(file, part):
                yield from batch.to_pylist()


def read_samples(folder: Path, split: str, tasks: Iterable[str] = ()) -> list[Sample]:
    """Return the samples of one split, of some tasks or of all."""
    wanted = set(tasks)
    rows = (row for row in read_rows(folder) if row["split"] == split)
    return [sample_of(row) for row in rows if not wanted or row["task"] in wanted]


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def read_batches(
    file: BinaryIO, name: Path, columns: Iterable[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file, a few at a time, whose texts are known to be UTF-8.

    Args:
        name: What the file is called in messages.
        columns: The columns to read; all without any.

    Raises:
        UserError: The file is damaged.
    """
    batches = _batches_in(file, set(columns))
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:  # damage makes readers raise anything: OSError, KeyError, ...
            raise UserError(
                f"{name} cannot be read",
                f"it is damaged or no Parquet file ({str(error).rstrip('.')[:200]})",
                "restore the file (`make pull` for the embedded data), or write it again",
            ) from error
        if batch is None:
            return
        yield batch


def _batches_in(file: BinaryIO, columns: set[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as parquet:
        names = [name for name in parquet.schema_arrow.names if not columns or name in columns]
        about = parquet.metadata
        groups = [about.row_group(i) for i in range(about.num_row_groups)]
        # one value may stand for that of all rows, and be as large as its column is written
        largest = max((g.column(i).total_uncompressed_size for g in groups
                       for i in range(g.num_columns)), default=0)  # fmt: skip
        rows = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(1, largest)))
        for batch in parquet.iter_batches(rows, columns=names):
            batch.validate(full=True)  # finds text that is not UTF-8, on which to_pylist() fails
            yield batch


def write_summary(folder: Path, **facts: Any) -> None:
    """Write `summary.json`: counts in, kept and set aside, and what the stage found."""
    (folder / "summary.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Read `summary.json`."""
    return json.loads((folder / "summary.json").read_text())
