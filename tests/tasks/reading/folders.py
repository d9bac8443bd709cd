"""Data folders that tests write, and what reading them gives."""

import json
import zlib
from pathlib import Path

import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict
from PIL import Image as Pillow

from tasks.reading.dataset import read_dataset
from tasks.records.images import to_png
from tasks.records.rows import Sample, read_rows, read_summary, sample_of

PNG = to_png(Pillow.new("RGB", (20, 10), (200, 10, 10)))


def different(name: str, size: tuple[int, int] = (12, 8)) -> bytes:
    """Return a picture that no other name gives."""
    return to_png(Pillow.new("RGB", size, tuple(zlib.crc32(name.encode()).to_bytes(4)[1:])))


GOOD = {
    "id": "good",
    "task": "ground",
    "split": "train",
    "question": "<image>Where is the circle?",
    "answer": "here",
    "image": "pictures/red.png",
    "boxes": [[1, 2, 3, 4]],
    "label": "circle",
    "final": "here",
    "details": {"hint": 1},
}


GOOD_SAMPLE = Sample(
    id="good",
    task="ground",
    split="train",
    prompt="Where is the circle?",
    metric="detections",
    answer="here",
    images=[PNG],
    corners=[[1, 2, 3, 4]],
    size=(20, 10),
    label="circle",
    final="here",
    details={"hint": 1},
)


PLAIN = {"prompt": "p", "answer": "a"}


def jsonl(folder: Path, *lines: object, name: str = "records") -> Path:
    """Write a JSONL file; a line that is a string already is written as it is."""
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    (folder / f"{name}.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


def saved(folder: Path, data: Dataset | DatasetDict) -> Path:
    data.save_to_disk(str(folder / "hf"))
    return folder / "hf"


def read(folder: Path, max_rejected_share: float = 1.0, limit: int = 0) -> list[Sample]:
    """Read a folder and return the samples that were kept."""
    out, set_aside = folder.parent / "out", folder.parent / "set_aside"
    read_dataset(folder, out, set_aside, max_rejected_share, limit)
    return [sample_of(row) for row in read_rows(out)]


def reasons(folder: Path) -> dict[str, int]:
    """Read a folder and return why how many records were set aside."""
    read(folder)
    return read_summary(folder.parent / "out")["set_aside"]


BAD = {
    "line is not JSON": "{'prompt': 1}",
    "line is not a JSON object": ["prompt"],
    "duplicate id": GOOD,
    "empty prompt": GOOD | {"question": "<image> "},
    "unknown split 'holdout' (known: train, dev, test)": GOOD | {"split": "holdout"},
    "picture file is missing": GOOD | {"image": "pictures/blue.png"},
    "picture path leaves the data folder": GOOD | {"image": "../secret.png"},
    "unreadable picture": GOOD | {"image": "records.jsonl"},
    "picture too large": GOOD | {"image": "pictures/huge.png"},
    "boxes without a picture": GOOD | {"image": None, "question": "Where is the circle?"},
    "box without four numbers": GOOD | {"boxes": [[1, 2, 3, 4], [1, 2, 3]]},
    "box with NaN or infinity": GOOD | {"boxes": [[1, 2, float("nan"), 4]]},
    "box without area": GOOD | {"boxes": [[3, 2, 3, 4]]},
    "box outside the picture": GOOD | {"boxes": [[1, 2, 21, 4]]},
    "field of the wrong type": GOOD | {"details": "no JSON"},
    "empty answer": GOOD | {"metric": "exact", "answer": " "},
    "empty final": GOOD | {"metric": "final", "final": ""},
}


def with_own_id(record: object, reason: str) -> object:
    if isinstance(record, dict) and reason != "duplicate id":
        return record | {"id": reason}
    return record


def set_aside(folder: Path) -> dict[str, str]:
    """Read a folder and return why which record was set aside."""
    read(folder)
    rows = pq.read_table(folder.parent / "out" / "rejected.parquet").to_pylist()
    return {row["id"]: row["reason"] for row in rows}
