"""Three layouts of a user's table give the same samples; what is wrong is set aside and named."""

import json
import socket

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value

from tasks.records.rows import SAMPLES, sample_row, write_shards
from tasks.running.errors import UserError
from tests.tasks.reading.folders import GOOD, GOOD_SAMPLE, PLAIN, PNG, jsonl, read, reasons, saved


def test_json_lines_beside_pictures_become_samples(folder):
    assert read(jsonl(folder, GOOD)) == [GOOD_SAMPLE]


def test_own_shards_are_read_as_they_were_written(folder):
    write_shards([sample_row(GOOD_SAMPLE)], folder, SAMPLES)
    assert read(folder) == [GOOD_SAMPLE]


@pytest.mark.parametrize("column", ["image", "images"], ids=["one picture", "list of pictures"])
def test_a_saved_dataset_becomes_samples(folder, column):
    feature = Image() if column == "image" else List(Image())
    picture = {"bytes": PNG, "path": None}
    features = Features(
        {
            **dict.fromkeys(("id", "task", "split", "problem", "solution"), Value("string")),
            **dict.fromkeys(("label", "final", "details"), Value("string")),
            "boxes": List(List(Value("float32"))),
            column: feature,
        }
    )
    row = {k: GOOD[k] for k in ("id", "task", "split", "boxes", "label", "final")}
    row |= {"problem": GOOD["question"], "solution": "here", "details": '{"hint": 1}'}
    row[column] = picture if column == "image" else [picture]
    assert read(saved(folder, Dataset.from_list([row], features=features))) == [GOOD_SAMPLE]


def test_all_three_layouts_give_the_same_samples(tmp_path, folder):
    written = [sample_row(sample) for sample in read(jsonl(folder, GOOD))]
    shards, hub = tmp_path / "a" / "data", tmp_path / "b" / "data"
    write_shards(written, shards, SAMPLES)
    Dataset.from_list(written, features=SAMPLES).save_to_disk(str(hub))
    assert read(shards) == read(hub) == [GOOD_SAMPLE]


def test_the_splits_of_a_saved_dataset_dict_become_our_splits(folder):
    parts = {
        split: Dataset.from_list([{"question": f"{split} {i}?", "answer": "a"} for i in range(2)])
        for split in ("train", "validation", "test")
    }
    samples = read(saved(folder, DatasetDict(parts)))
    assert [(s.split, s.prompt) for s in samples] == [
        ("train", "train 0?"), ("train", "train 1?"), ("dev", "validation 0?"),
        ("dev", "validation 1?"), ("test", "test 0?"), ("test", "test 1?"),
    ]  # fmt: skip
    assert len({s.id for s in samples}) == 6


def test_a_saved_dataset_that_names_its_pictures_by_file_is_read(folder):
    path = str(folder / "pictures" / "red.png")
    data = Dataset.from_dict({"prompt": ["?"], "answer": ["a"], "image": [path]})
    data = data.cast_column("image", Image())
    (sample,) = read(saved(folder, data))
    assert (sample.images, sample.size) == ([PNG], (20, 10))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "p", "answer": "a"}, ("p", "a", 0)),
        ({"problem": "p", "solution": "a", "image": "pictures/red.png"}, ("p", "a", 1)),
        ({"query": "p", "response": "a", "images": ["pictures/red.png"] * 2}, ("p", "a", 2)),
        ({"instruction": "p", "caption": "a", "file_name": "pictures/red.png"}, ("p", "a", 1)),
        ({"question": "p", "answer": None, "solution": "a", "image": None}, ("p", "a", 0)),
        ({"question": "p", "answer": 12, "image_path": "pictures/red.png"}, ("p", "12", 1)),
    ],
)
def test_names_that_other_projects_use_are_understood(folder, row, expected):
    (sample,) = read(jsonl(folder, row))
    assert (sample.prompt, sample.answer, len(sample.images)) == expected
    assert (sample.task, sample.split, sample.metric) == ("question", "train", "exact")


def test_a_record_may_say_how_it_is_scored(folder):
    (sample,) = read(jsonl(folder, GOOD | {"metric": "box"}))
    assert sample == GOOD_SAMPLE.model_copy(update={"metric": "box"})


def test_records_without_an_id_are_named_after_their_place(folder):
    jsonl(folder, PLAIN, "", PLAIN, name="first")
    jsonl(folder, PLAIN, name="second")
    assert [sample.id for sample in read(folder)] == ["first:1", "first:3", "second:1"]


def test_the_answer_zero_is_an_answer(folder):
    (sample,) = read(jsonl(folder, {"prompt": "How many?", "answer": 0, "final": 0, "label": 0}))
    assert (sample.answer, sample.final, sample.label) == ("0", "0", "0")


def test_a_class_label_is_read_by_its_name(folder):
    text, animal = Value("string"), ClassLabel(names=["cat", "dog"])
    features = Features({"prompt": text, "answer": text, "label": animal})
    rows = [PLAIN | {"label": number} for number in (0, 1, -1, None)]
    samples = read(saved(folder, Dataset.from_list(rows, features=features)))
    assert [sample.label for sample in samples] == ["cat", "dog", "", ""]


def test_a_null_id_is_no_id(folder):
    jsonl(folder, *(PLAIN | {"id": id} for id in (None, None, "", 0)))
    assert [sample.id for sample in read(folder)] == ["records:1", "records:2", "records:3", "0"]


@pytest.mark.parametrize("separator", ["\u2028", "\u0085"])
def test_unicode_line_separators_inside_a_record_do_not_end_it(folder, separator):
    (sample,) = read(jsonl(folder, PLAIN | {"prompt": f"one{separator}two"}))
    assert sample.prompt == f"one{separator}two"


def test_a_byte_order_mark_is_no_part_of_the_first_record(folder):
    (folder / "records.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode())
    assert [sample.prompt for sample in read(folder)] == ["p"]


@pytest.mark.parametrize("picture", ["pictures/red.png", ["pictures/red.png"]], ids=["one", "list"])
def test_a_saved_dataset_may_hold_picture_paths_as_text(folder, picture):
    Dataset.from_list([PLAIN | {"image_path": picture}]).save_to_disk(str(folder))
    (sample,) = read(folder)
    assert sample.images == [PNG]


def test_an_empty_split_column_does_not_move_validation_rows_to_train(folder):
    features = Features(dict.fromkeys(("prompt", "answer", "split"), Value("string")))
    rows = [PLAIN | {"split": split} for split in (None, "", "test")]
    part = Dataset.from_list(rows, features=features)
    samples = read(saved(folder, DatasetDict({"validation": part})))
    assert [sample.split for sample in samples] == ["dev", "dev", "test"]


def test_a_row_of_own_shards_without_an_id_is_named_after_its_place(folder):
    rows = [sample_row(GOOD_SAMPLE) | {"id": id} for id in ("good", None, "")]
    write_shards(rows, folder, SAMPLES)
    assert [sample.id for sample in read(folder)] == ["good", "row:1", "row:2"]


def test_bad_rows_of_own_shards_and_saved_datasets_are_set_aside_too(tmp_path):
    bad = GOOD_SAMPLE.model_copy(update={"id": "bad", "images": [PNG[:40]]})
    rows = [sample_row(GOOD_SAMPLE), sample_row(bad), sample_row(GOOD_SAMPLE)]
    write_shards(rows, tmp_path / "a" / "data", SAMPLES)
    Dataset.from_list(rows, features=SAMPLES).save_to_disk(str(tmp_path / "b" / "data"))
    expected = {"unreadable picture": 1, "duplicate id": 1}
    assert reasons(tmp_path / "a" / "data") == reasons(tmp_path / "b" / "data") == expected


def test_a_line_that_is_not_utf8_is_set_aside(folder):
    line = json.dumps(GOOD).encode()
    (folder / "records.jsonl").write_bytes(line + b'\n{"prompt": "\xff"}\n')
    assert reasons(folder) == {"line is not UTF-8": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"details": "{"}, "field of the wrong type"),
        ({"details": "[" * 100_000}, "field of the wrong type"),
        ({"details": "[]"}, "field 'details': Input should be a valid dictionary"),
        ({"split": None}, "field 'split': Field required"),
        (
            {"images": [{"bytes": None, "path": None}]},
            "field 'images': Input should be a valid bytes",
        ),
    ],
    ids=["details are no JSON", "deep details", "details are a list", "no split", "no picture"],
)
def test_a_malformed_row_of_own_shards_is_set_aside(folder, change, reason):
    rows = [sample_row(GOOD_SAMPLE), sample_row(GOOD_SAMPLE) | {"id": "bad"} | change]
    write_shards(rows, folder, SAMPLES)
    assert reasons(folder) == {reason: 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[" * 100_000, "line is not JSON"),
        ("1" * 5000, "line is not JSON"),
        ('{"prompt": "\\ud800", "answer": "a"}', "field of the wrong type"),
    ],
    ids=["deeply nested", "long number", "half a surrogate pair"],
)
def test_json_that_python_or_parquet_cannot_hold_is_set_aside(folder, line, reason):
    assert reasons(jsonl(folder, GOOD, line)) == {reason: 1}


def test_a_saved_dataset_without_a_question_names_the_column_to_rename(folder):
    data = Dataset.from_list([{"promt": "?", "answer": "a"}])
    with pytest.raises(UserError, match=r"found promt, answer(?s:.*)rename 'promt'"):
        read(saved(folder, data))


def test_a_column_that_nobody_asked_for_is_never_looked_at(folder, monkeypatch):
    """Its pictures are addresses: whoever decodes a row fetches them."""
    called: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *args: called.append(args))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: called.append(args))
    text, picture = Value("string"), {"path": "http://127.0.0.1:9/a.png", "bytes": None}
    features = Features({"prompt": text, "answer": text, "extra": {"pic": List(Image())}})
    part = Dataset.from_dict(
        {"prompt": ["?"], "answer": ["a"], "extra": [{"pic": []}]}, features=features
    )
    saved(folder, part)
    (file,) = (folder / "hf").glob("*.arrow")
    with pa.OSFile(str(file)) as opened:
        schema = pa.ipc.open_stream(opened).schema
    table = pa.Table.from_pylist(
        [{"prompt": "?", "answer": "a", "extra": {"pic": [picture]}}], schema
    )
    with pa.OSFile(str(file), "wb") as opened, pa.ipc.new_stream(opened, schema) as stream:
        stream.write_table(table)
    assert [sample.prompt for sample in read(folder / "hf")] == ["?"]
    assert not called


def test_the_data_info_of_another_program_is_no_saved_dataset(folder):
    (folder / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    with pytest.raises(UserError, match="has no state.json"):
        read(folder)
    assert read(jsonl(folder, GOOD)) == [GOOD_SAMPLE]  # which its writer puts beside it


def test_a_lost_or_cut_file_of_a_saved_dataset_is_named(folder):
    saved(folder, Dataset.from_list([PLAIN]))
    (file,) = (folder / "hf").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(UserError, match=rf"{file.name} cannot be read") as caught:
        read(folder / "hf")
    assert "damaged" in caught.value.why
    file.unlink()
    with pytest.raises(UserError, match="the file is missing"):
        read(folder / "hf")


def test_a_number_of_no_class_is_set_aside(folder):
    text = Value("string")
    features = Features({"prompt": text, "answer": text, "label": ClassLabel(names=["cat", "dog"])})
    saved(
        folder, Dataset.from_list([PLAIN | {"label": 0}, PLAIN | {"label": 1}], features=features)
    )
    info = folder / "hf" / "dataset_info.json"
    info.write_text(info.read_text().replace('"dog"', '"cow"').replace('"cat",', ""))
    assert reasons(folder / "hf") == {"label is the number of no class": 1}
