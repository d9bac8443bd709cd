"""Reading a data set: what is counted, what is set aside, what stops the stage."""

import os

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from PIL import Image as Pillow

from tasks.reading.dataset import read_dataset
from tasks.records.rows import SAMPLES, read_rows, read_summary, sample_row, write_shards
from tasks.running.errors import UserError
from tests.tasks.reading.folders import (
    BAD,
    GOOD,
    GOOD_SAMPLE,
    PNG,
    jsonl,
    read,
    reasons,
    with_own_id,
)


def test_the_limit_stops_reading_early(folder):
    jsonl(folder, *({"prompt": f"question {i}", "answer": "a"} for i in range(8)))
    assert [s.prompt[-1] for s in read(folder, limit=3)] == ["0", "1", "2"]


def test_what_is_not_wanted_is_counted_and_let_go(folder):
    jsonl(folder, *({"prompt": f"question {i}", "answer": "a"} for i in range(6)), "{")
    out, set_aside = folder.parent / "out", folder.parent / "set_aside"
    odd = lambda sample: int(sample.prompt[-1]) % 2 == 1  # noqa: E731
    counts = read_dataset(folder, out, set_aside, 0.99, wanted=odd)
    assert counts == {"read": 7, "kept": 3, "set_aside": 1}
    assert [row["prompt"][-1] for row in read_rows(out)] == ["1", "3", "5"]


def test_all_reasons_are_counted_and_nothing_is_dropped_silently(folder):
    (folder.parent / "secret.png").write_bytes(PNG)
    Pillow.new("1", (8100, 8000)).save(folder / "pictures" / "huge.png")
    bad = [with_own_id(record, reason) for reason, record in BAD.items()]
    out, set_aside = folder.parent / "out", folder.parent / "set_aside"
    counts = read_dataset(jsonl(folder, GOOD, *bad, "{"), out, set_aside, 0.99)
    assert counts == {"read": len(BAD) + 2, "kept": 1, "set_aside": len(BAD) + 1}
    summary = read_summary(out)
    assert summary["set_aside"] == dict.fromkeys(BAD, 1) | {"line is not JSON": 2}
    assert summary["tasks"] == {"train/ground": 1}
    assert not set_aside.exists()


def test_more_bad_records_than_fit_one_shard_are_set_aside(folder):
    assert reasons(jsonl(folder, GOOD, *["{"] * 4097)) == {"line is not JSON": 4097}
    assert pq.read_table(folder.parent / "out" / "rejected.parquet").num_rows == 4097


def test_datasets_opens_the_folder_although_records_were_set_aside(folder):
    read(jsonl(folder, GOOD, "{"))
    out, cache = str(folder.parent / "out"), str(folder.parent / "cache")
    assert {"rejected.parquet", "summary.json"} <= set(os.listdir(out))
    loaded = load_dataset("parquet", data_dir=out, data_files="part-*.parquet", cache_dir=cache)
    assert loaded["train"]["id"][:] == ["good"]


def test_too_many_bad_records_stop_the_stage_and_leave_a_report_but_no_data(folder):
    jsonl(folder, GOOD, "{", "[]", "[]")
    out, set_aside = folder.parent / "out", folder.parent / "set_aside"
    with pytest.raises(UserError) as caught:
        read_dataset(folder, out, set_aside, 0.5)
    assert caught.value.what == f"3 of 4 records in {folder} cannot be used"
    assert caught.value.why == "2x line is not a JSON object; 1x line is not JSON"
    assert str(set_aside) in caught.value.todo and "(now 0.5)" in caught.value.todo
    assert not out.exists()
    ids = [row["id"] for row in read_rows(set_aside)]
    assert ids == ["records:2", "records:3", "records:4"]


def test_exactly_the_allowed_share_does_not_stop_the_stage(folder):
    assert len(read(jsonl(folder, GOOD, "{"), max_rejected_share=0.5)) == 1


def test_a_data_set_without_a_usable_record_stops_the_stage_whatever_is_allowed(folder):
    with pytest.raises(UserError, match="2 of 2 records"):
        read(jsonl(folder, "{", "{"), max_rejected_share=1.0)
    assert not (folder.parent / "out").exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no data folder .*nowhere"):
        read(tmp_path / "nowhere")


def test_a_file_is_not_a_data_folder(folder):
    with pytest.raises(UserError, match="no data folder"):
        read(folder / "pictures" / "red.png")


def test_a_folder_that_is_no_data_set_says_what_was_found(folder):
    with pytest.raises(UserError, match=r"not a data set.*(?s:.*)\(found: pictures\)"):
        read(folder)
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=r"\(found: nothing\)"):
        read(folder / "empty")


def test_a_data_set_without_records_is_refused(folder):
    with pytest.raises(UserError, match="holds no records"):
        read(jsonl(folder, ""))


def test_a_damaged_shard_is_named_with_what_to_do(folder):
    write_shards([sample_row(GOOD_SAMPLE)], folder, SAMPLES)
    part = folder / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"part-00000\.parquet cannot be read") as caught:
        read(folder)
    assert "damaged" in caught.value.why and "restore" in caught.value.todo
