"""Folders of pages that tests write, and what reading them gives."""

import io
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pypdfium2 as pdfium
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pillow

from tasks.reading.pages import PageReader
from tasks.records.images import to_png
from tasks.records.pages import Page, Question

PIXELS = 256 * 288
TEXT, PICTURE = Value("string"), Image()  # features of public sets


def pdf(*sizes: tuple[float, float]) -> bytes:
    document = pdfium.PdfDocument.new()
    for width, height in sizes:
        document.new_page(width, height)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def png(level: int, size: tuple[int, int] = (64, 64)) -> bytes:
    return to_png(Pillow.new("RGB", size, (level, 0, level)))


def read(folder: Path, most: int = 50) -> tuple[dict[str, Page], list[Question], Counter]:
    reader = PageReader(folder, PIXELS, most)
    pages = {page.id: page for page in reader.pages()}
    questions = list(reader.questions())
    return pages, questions, Counter(one["reason"] for one in reader.aside)


def table(folder: Path, name: str, rows: list[dict]) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def image(level: int) -> dict:
    return {"bytes": png(level), "path": None}


def public(folder: Path, name: str, features: dict, rows: list[dict]) -> None:
    """Write a table as `datasets` uploads it, with the features that a set's card names."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {column: [row[column] for row in rows] for column in features}
    Dataset.from_dict(columns, features=Features(features)).to_parquet(file)
