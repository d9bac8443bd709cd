"""What travels between stages: samples, rollouts, verdicts, preferences and scores.

Every record is a row of a Parquet shard with pictures as bytes. Hugging Face `datasets` reads the
folders directly (`load_dataset("parquet", data_dir=...)`), and TRL reads the prompts as they are.
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

ROWS_PER_SHARD = 4096
# How an answer is scored (tasks/benchmarks/scoring.py).
Metric = Literal[
    "exact", "final", "caption", "box", "detections", "tagged_detections", "pair", "point"
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
    """Write rows as `part-*.parquet` with the schema that `datasets` expects; return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, part = list(rows), 0
    for start in range(0, max(1, len(rows)), ROWS_PER_SHARD):
        table = Dataset.from_list(rows[start : start + ROWS_PER_SHARD], features=features)
        # row groups of equal pictures side by side: zstd then stores a repeated picture once
        pq.write_table(table.data.table, folder / f"part-{part:05d}.parquet", compression="zstd")
        part += 1
    return len(rows)


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard folder in order, pictures as `{"bytes": ...}`."""
    for part in sorted(folder.glob("part-*.parquet")):
        yield from pq.read_table(part).to_pylist()


def read_samples(folder: Path, split: str, tasks: Iterable[str] = ()) -> list[Sample]:
    """Return the samples of one split, of some tasks or of all."""
    wanted = set(tasks)
    rows = (row for row in read_rows(folder) if row["split"] == split)
    return [sample_of(row) for row in rows if not wanted or row["task"] in wanted]


def table_of(folder: Path) -> pa.Table:
    """Return a shard folder as one Arrow table."""
    return pa.concat_tables(pq.read_table(part) for part in sorted(folder.glob("part-*.parquet")))


def write_summary(folder: Path, **facts: Any) -> None:
    """Write `summary.json`: counts in, kept and set aside, and what the stage found."""
    (folder / "summary.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Read `summary.json`."""
    return json.loads((folder / "summary.json").read_text())
