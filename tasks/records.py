"""What travels between stages: samples, rollouts, verdicts, preferences and scores.

Every record is a row of a Parquet shard with pictures as bytes. Hugging Face `datasets` reads the
folders directly with `load_dataset("parquet", data_dir=..., data_files="part-*.parquet")` (the
pattern leaves out `summary.json` and the records set aside), and TRL reads the prompts as they are.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, Image, List, Value
from pydantic import BaseModel, ConfigDict

from tasks.boxes import Box, boxes_from
from tasks.errors import UserError

ROWS_PER_SHARD = 4096
# How an answer is scored (tasks/benchmarks/scoring.py).
Metric = Literal[
    "exact",
    "final",
    "caption",
    "box",
    "tagged_box",
    "detections",
    "tagged_detections",
    "pair",
    "point",
]
TEXT = Value("string")
BOXES = List(List(Value("float32")))


class Sample(BaseModel):
    """A question about pictures, with its true answer where one is known.

    Attributes:
        task: The kind of question; scores are reported by it.
        metric: How an answer is scored.
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
    metric: Metric = "exact"
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
        "images": List(Image()),
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
    """Write rows as `part-*.parquet` as `datasets` expects them, and return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(rows)  # before the old parts go: the rows may come from them
    for old in _parts(folder):
        old.unlink()
    for part, start in enumerate(range(0, max(1, len(rows)), ROWS_PER_SHARD)):
        chunk = rows[start : start + ROWS_PER_SHARD]
        write_table(chunk, folder / f"part-{part:05d}.parquet", features)
    return len(rows)


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
        yield from _read_table(part).to_pylist()


def read_samples(folder: Path, split: str, tasks: Iterable[str] = ()) -> list[Sample]:
    """Return the samples of one split, of some tasks or of all."""
    wanted = set(tasks)
    rows = (row for row in read_rows(folder) if row["split"] == split)
    return [sample_of(row) for row in rows if not wanted or row["task"] in wanted]


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _read_table(part: Path) -> pa.Table:
    try:
        table = pq.read_table(part)
        table.validate(full=True)  # finds text that is not UTF-8, on which to_pylist() would fail
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{part} cannot be read",
            f"it is damaged or no Parquet file ({str(error).rstrip('.')})",
            "restore the file (`make pull` for the embedded data), or write it again",
        ) from error
    return table


def write_summary(folder: Path, **facts: Any) -> None:
    """Write `summary.json`: counts in, kept and set aside, and what the stage found."""
    (folder / "summary.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Read `summary.json`."""
    return json.loads((folder / "summary.json").read_text())
