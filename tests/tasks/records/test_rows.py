"""Records survive the shards, and Hugging Face `datasets` opens the folders as they are."""

import weakref

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from PIL import Image
from pydantic import ValidationError

from tasks.records import rows as records
from tasks.records.boxes import Box
from tasks.records.images import to_png
from tasks.records.rows import (
    REJECTED,
    ROWS_PER_SHARD,
    SAMPLES,
    Sample,
    read_batches,
    read_rows,
    read_samples,
    read_summary,
    sample_of,
    sample_row,
    write_shards,
    write_summary,
    write_table,
)
from tasks.running.errors import UserError


def red(width: int, height: int) -> bytes:
    return to_png(Image.new("RGB", (width, height), (200, 10, 10)))


SAMPLE = Sample(
    id="one",
    task="ground",
    split="train",
    prompt="Wo ist der rote Kreis? “hier”",
    answer="[1, 2, 3, 4]",
    images=[red(20, 10), red(8, 8)],
    corners=[[1, 2, 3.5, 4], [0, 0, 20, 10]],
    size=(20, 10),
    label="red circle",
    final="4",
    details={"faults": [0, 2], "facts": [["A", "7"]], "nested": {"none": None}},
)
BARE = Sample(id="two", task="text_only", split="test", prompt="What is 1 + 1?")


def test_samples_survive_the_shards(tmp_path):
    assert write_shards([sample_row(SAMPLE), sample_row(BARE)], tmp_path, SAMPLES) == 2
    assert [sample_of(row) for row in read_rows(tmp_path)] == [SAMPLE, BARE]


def test_datasets_opens_a_shard_folder_and_decodes_its_pictures(tmp_path):
    folder, cache = tmp_path / "shards", str(tmp_path / "cache")
    write_shards([sample_row(SAMPLE), sample_row(BARE)], folder, SAMPLES)
    write_summary(folder, kept=2)
    write_table([{"id": "x", "reason": "r", "source": "s"}], folder / "rejected.parquet", REJECTED)
    loaded = load_dataset(
        "parquet", data_dir=str(folder), data_files="part-*.parquet", cache_dir=cache
    )["train"]
    assert loaded.features == SAMPLES
    assert loaded["id"][:] == ["one", "two"]
    assert [image.size for image in loaded[0]["images"]] == [(20, 10), (8, 8)]
    assert np.asarray(loaded[0]["images"][0])[0, 0].tolist() == [200, 10, 10]
    assert loaded[1]["images"] == []


def test_many_rows_become_several_shards_in_the_same_order(tmp_path):
    number = ROWS_PER_SHARD + 3
    rows = ({"id": str(i), "reason": "r", "source": "s"} for i in range(number))
    assert write_shards(rows, tmp_path, REJECTED) == number
    assert len(list(tmp_path.glob("part-*.parquet"))) == 2
    assert [row["id"] for row in read_rows(tmp_path)] == [str(i) for i in range(number)]


def test_fewer_rows_leave_no_older_shard_behind(tmp_path):
    rows = [{"id": str(i), "reason": "r", "source": "s"} for i in range(ROWS_PER_SHARD + 3)]
    write_shards(rows, tmp_path, REJECTED)
    write_shards(rows[:1], tmp_path, REJECTED)
    assert list(read_rows(tmp_path)) == rows[:1]


def test_a_folder_may_be_written_from_its_own_rows(tmp_path):
    rows = [{"id": str(i), "reason": "r", "source": "s"} for i in range(3)]
    write_shards(rows, tmp_path, REJECTED)
    write_shards((row for row in read_rows(tmp_path) if row["id"] != "1"), tmp_path, REJECTED)
    assert [row["id"] for row in read_rows(tmp_path)] == ["0", "2"]


@pytest.mark.parametrize("content", [b"", b"no Parquet", "cut", "not UTF-8"], ids=str)
def test_a_damaged_shard_is_named_with_what_to_do(tmp_path, content):
    part = tmp_path / "part-00000.parquet"
    write_shards([sample_row(SAMPLE)], tmp_path, SAMPLES)
    if content == "cut":
        content = part.read_bytes()[: part.stat().st_size // 2]
    if content == "not UTF-8":
        text = pa.array([b"\xff"]).view(pa.string())
        pq.write_table(pa.table({"id": text}), part)
    else:
        part.write_bytes(content)
    with pytest.raises(UserError, match=r"part-00000\.parquet cannot be read") as error:
        list(read_rows(tmp_path))
    assert "damaged" in error.value.why and "restore" in error.value.todo


def test_no_rows_become_an_empty_shard_with_the_schema(tmp_path):
    assert write_shards([], tmp_path, SAMPLES) == 0
    assert list(read_rows(tmp_path)) == []
    assert pq.read_schema(tmp_path / "part-00000.parquet").names == list(SAMPLES)


def test_samples_are_chosen_by_split_and_task(tmp_path):
    samples = [
        Sample(id=f"{split}-{task}", task=task, split=split, prompt="?")
        for split in ("train", "test")
        for task in ("count", "ground", "find")
    ]
    write_shards(map(sample_row, samples), tmp_path, SAMPLES)
    assert len(read_samples(tmp_path, "train")) == 3
    chosen = read_samples(tmp_path, "test", ["find", "count"])
    assert [sample.id for sample in chosen] == ["test-count", "test-find"]
    assert read_samples(tmp_path, "dev") == []


def test_boxes_know_the_size_of_the_picture():
    assert SAMPLE.boxes == [Box(1, 2, 3.5, 4, (20, 10)), Box(0, 0, 20, 10, (20, 10))]
    assert BARE.boxes == []


def test_a_misspelt_field_is_refused():
    with pytest.raises(ValidationError, match="anwser"):
        Sample(id="a", task="t", split="train", prompt="p", anwser="x")


def test_a_summary_is_read_as_it_was_written(tmp_path):
    facts = {"read": 3, "kept": 2, "set_aside": {"empty prompt": 1}, "share": 0.5}
    write_summary(tmp_path, **facts)
    assert read_summary(tmp_path) == facts


def test_shards_are_bounded_by_bytes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "BYTES_PER_SHARD", 100)
    rows = [{"id": str(i), "reason": "r" * 60, "source": "s"} for i in range(5)]
    assert write_shards(rows, tmp_path, REJECTED) == 5
    assert len(list(tmp_path.glob("part-*.parquet"))) == 3
    assert list(read_rows(tmp_path)) == rows


def test_no_more_rows_than_those_of_one_shard_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROWS_PER_SHARD", 10)
    alive: weakref.WeakSet[Row] = weakref.WeakSet()
    most = 0

    def rows():
        nonlocal most
        for i in range(100):
            alive.add(row := Row(id=str(i), reason="r", source="s"))
            most = max(most, len(alive))
            yield row

    assert write_shards(rows(), tmp_path, REJECTED) == 100
    assert most <= 21  # a shard, and the one before it, whose last name is still in use


class Row(dict):
    __hash__ = object.__hash__  # so that it can be counted


@pytest.mark.parametrize("known", [True, False], ids=["written before", "new"])
def test_rows_that_end_in_an_error_leave_the_folder_as_it_was(tmp_path, known):
    folder = tmp_path / "shards"
    rows = [{"id": str(i), "reason": "r", "source": "s"} for i in range(ROWS_PER_SHARD + 3)]
    if known:
        write_shards(rows[:2], folder, REJECTED)

    def failing():
        yield from rows
        raise UserError("a", "b", "c")

    with pytest.raises(UserError):
        write_shards(failing(), folder, REJECTED)
    assert folder.exists() == known
    assert not known or list(read_rows(folder)) == rows[:2]
    assert not (folder / ".partial").exists()


def test_one_text_that_stands_for_all_rows_is_not_copied_for_many_at_once(tmp_path):
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20, pa.int32()), ["p" * 90_000_000])
    file = tmp_path / "part-0.parquet"
    pq.write_table(pa.table({"prompt": text}), file, compression="zstd", store_schema=False)
    with file.open("rb") as opened:
        assert next(read_batches(opened, file)).num_rows == 2
