"""Three layouts of a user's data give the same samples; what is wrong is set aside and named."""

import json
import os
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Image,
    List,
    Value,
    load_dataset,
)
from PIL import Image as Pillow

from tasks.errors import UserError
from tasks.images import to_png
from tasks.reading import read_dataset
from tasks.records import (
    SAMPLES,
    Metric,
    Sample,
    read_rows,
    read_summary,
    sample_of,
    sample_row,
    write_shards,
)

PNG = to_png(Pillow.new("RGB", (20, 10), (200, 10, 10)))
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


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data folder with one picture and no records yet."""
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    (tmp_path / "data" / "pictures" / "red.png").write_bytes(PNG)
    return tmp_path / "data"


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


# ---- the three layouts -----------------------------------------------------------------------


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


def test_the_limit_stops_reading_early(folder):
    jsonl(folder, *({"prompt": f"question {i}", "answer": "a"} for i in range(8)))
    assert [s.prompt[-1] for s in read(folder, limit=3)] == ["0", "1", "2"]


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


# ---- what is set aside -----------------------------------------------------------------------

BAD = {
    "line is not JSON": "{'prompt': 1}",
    "line is not a JSON object": ["prompt"],
    "duplicate id": GOOD,
    "empty prompt": GOOD | {"question": "<image> "},
    "unknown split 'validation' (known: train, dev, test)": GOOD | {"split": "validation"},
    "picture file is missing": GOOD | {"image": "pictures/blue.png"},
    "picture path leaves the data folder": GOOD | {"image": "../secret.png"},
    "unreadable picture": GOOD | {"image": "records.jsonl"},
    "picture too large": GOOD | {"image": "pictures/huge.png"},
    "boxes without a picture": GOOD | {"image": None},
    "box without four numbers": GOOD | {"boxes": [[1, 2, 3, 4], [1, 2, 3]]},
    "box with NaN or infinity": GOOD | {"boxes": [[1, 2, float("nan"), 4]]},
    "box without area": GOOD | {"boxes": [[3, 2, 3, 4]]},
    "box outside the picture": GOOD | {"boxes": [[1, 2, 21, 4]]},
    "field of the wrong type": GOOD | {"details": "no JSON"},
    "empty answer": GOOD | {"metric": "exact", "answer": " "},
    "empty final": GOOD | {"metric": "final", "final": ""},
}
WRONG_TYPES = [
    ({"boxes": [["left", 2, 3, 4]]}, "corners"),
    ({"boxes": [1, 2, 3, 4]}, "corners"),
    ({"boxes": "1, 2, 3, 4"}, "corners"),
    ({"boxes": [[1, 2, None, 4]]}, "corners"),
    ({"details": ["a list"]}, "details"),
    ({"metric": "guess"}, "metric"),
    ({"metric": ["exact"]}, "metric"),
]

JUDGED = {
    "pair": {"question": "Which?", "responses": ["a", "b"]},
    "point": {"question": "How good?", "responses": ["a"]},
}


def with_own_id(record: object, reason: str) -> object:
    if isinstance(record, dict) and reason != "duplicate id":
        return record | {"id": reason}
    return record


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_record_is_set_aside_with_its_reason_and_the_good_one_is_kept(folder, reason):
    (folder.parent / "secret.png").write_bytes(PNG)
    Pillow.new("1", (8100, 8000)).save(folder / "pictures" / "huge.png")
    jsonl(folder, GOOD, with_own_id(BAD[reason], reason))
    assert read(folder) == [GOOD_SAMPLE]
    out = folder.parent / "out"
    (row,) = Dataset.from_parquet(str(out / "rejected.parquet"), cache_dir=str(folder.parent / "c"))
    assert row == {"id": "records:2", "reason": reason, "source": str(folder)}
    summary = read_summary(out)
    assert (summary["read"], summary["kept"], summary["set_aside"]) == (2, 1, {reason: 1})


@pytest.mark.parametrize(("change", "field"), WRONG_TYPES, ids=str)
def test_a_field_of_the_wrong_type_is_set_aside_and_named(folder, change, field):
    jsonl(folder, GOOD, GOOD | {"id": "bad"} | change)
    ((reason, number),) = reasons(folder).items()
    assert reason.startswith(f"field '{field}': Input should be") and number == 1


def test_an_unknown_metric_is_answered_with_the_known_ones(folder):
    (reason,) = reasons(jsonl(folder, GOOD, GOOD | {"id": "bad", "metric": "guess"}))
    assert all(f"'{metric}'" in reason for metric in get_args(Metric))


@pytest.mark.parametrize("metric", ["exact", "caption", "pair", "point"])
def test_a_metric_that_compares_answers_needs_one(folder, metric):
    bad = {"prompt": "?", "metric": metric, "answer": " ", "details": JUDGED.get(metric)}
    bad["split"] = "test"
    assert reasons(jsonl(folder, GOOD, bad)) == {"empty answer": 1}


@pytest.mark.parametrize("metric", ["box", "detections", "tagged_detections"])
def test_that_there_is_nothing_to_find_is_a_truth(folder, metric):
    record = {"prompt": "?", "metric": metric, "image": "pictures/red.png", "boxes": []}
    (sample,) = read(jsonl(folder, record))
    assert (sample.answer, sample.corners) == ("", [])


@pytest.mark.parametrize(
    ("metric", "answer"),
    [("pair", "A"), ("pair", "B"), ("point", 1), ("point", "7.5"), ("point", 10)],
)
def test_a_judgement_is_read(folder, metric, answer):
    record = {"prompt": "?", "metric": metric, "answer": answer, "details": JUDGED[metric]}
    (sample,) = read(jsonl(folder, record))
    assert (sample.answer, sample.details) == (str(answer), JUDGED[metric])


@pytest.mark.parametrize(
    "details",
    [
        {}, {"question": "Which?"}, {"responses": ["a", "b"]},
        {"question": 1, "responses": ["a", "b"]}, {"question": "Which?", "responses": "ab"},
        {"question": "Which?", "responses": ["a"]}, {"question": "Which?", "responses": ["a", 2]},
        {"question": "Which?", "responses": ["a", "b", "c"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_judgement_needs_its_question_and_responses(folder, details):
    record = {"prompt": "?", "metric": "pair", "answer": "A", "details": details}
    expected = {"metric pair needs details.question and 2 details.responses": 1}
    assert reasons(jsonl(folder, GOOD, record)) == expected


@pytest.mark.parametrize(
    ("metric", "answer", "reason"),
    [
        ("pair", "AB", "pair answer is neither A nor B"),
        ("pair", "a", "pair answer is neither A nor B"),
        ("point", "good", "point answer is no number from 1 to 10"),
        ("point", 0, "point answer is no number from 1 to 10"),
        ("point", "10.5", "point answer is no number from 1 to 10"),
    ],
)
def test_a_judgement_needs_a_verdict(folder, metric, answer, reason):
    record = {"prompt": "?", "metric": metric, "answer": answer, "details": JUDGED[metric]}
    assert reasons(jsonl(folder, GOOD, record)) == {reason: 1}


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


@pytest.mark.parametrize(
    "path", ["../secret.png", "pictures/../../secret.png", "{root}/secret.png"]
)
def test_no_path_reaches_a_picture_outside_the_folder(folder, path):
    (folder.parent / "secret.png").write_bytes(PNG)
    path = path.format(root=folder.parent)
    jsonl(folder, GOOD, {"prompt": "?", "image": path})
    assert reasons(folder) == {"picture path leaves the data folder": 1}


def test_no_link_reaches_a_picture_outside_the_folder(folder):
    (folder.parent / "secret.png").write_bytes(PNG)
    (folder / "pictures" / "link.png").symlink_to(folder.parent / "secret.png")
    jsonl(folder, GOOD, {"prompt": "?", "image": "pictures/link.png"})
    assert reasons(folder) == {"picture path leaves the data folder": 1}


def test_a_folder_beside_ours_with_a_longer_name_is_outside(folder):
    (folder.parent / "data2").mkdir()
    (folder.parent / "data2" / "red.png").write_bytes(PNG)
    jsonl(folder, GOOD, {"prompt": "?", "image": "../data2/red.png"})
    assert reasons(folder) == {"picture path leaves the data folder": 1}


def test_a_bad_second_picture_is_noticed(folder):
    images = ["pictures/red.png", "records.jsonl"]
    jsonl(folder, GOOD, PLAIN | {"images": images})
    assert reasons(folder) == {"unreadable picture": 1}


def test_a_record_that_was_set_aside_does_not_use_up_its_id(folder):
    broken = GOOD | {"boxes": [[3, 2, 3, 4]]}
    assert read(jsonl(folder, broken, GOOD)) == [GOOD_SAMPLE]


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
    ("picture", "reason"),
    [
        *((value, "picture is neither a path nor bytes") for value in (5, [5], [None], True, {})),
        *((path, "picture file cannot be opened") for path in ("\0", "x" * 5000, "loop", "\ud800")),
    ],
    ids=["number", "list of a number", "list of null", "bool", "empty struct", "null byte",
         "long name", "loop of links", "half a surrogate pair"],
)  # fmt: skip
def test_a_picture_that_is_no_path_is_set_aside(folder, picture, reason):
    (folder / "loop").symlink_to("loop")
    jsonl(folder, GOOD, json.dumps(PLAIN | {"image": picture}))
    assert reasons(folder) == {reason: 1}


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


def test_more_bad_records_than_fit_one_shard_are_set_aside(folder):
    assert reasons(jsonl(folder, GOOD, *["{"] * 4097)) == {"line is not JSON": 4097}
    assert pq.read_table(folder.parent / "out" / "rejected.parquet").num_rows == 4097


def test_the_largest_bombs_are_called_too_large_too(folder):
    Pillow.new("1", (20_000, 10_000)).save(folder / "pictures" / "bomb.png")
    jsonl(folder, GOOD, PLAIN | {"image": "pictures/bomb.png"})
    assert reasons(folder) == {"picture too large": 1}


def test_datasets_opens_the_folder_although_records_were_set_aside(folder):
    read(jsonl(folder, GOOD, "{"))
    out, cache = str(folder.parent / "out"), str(folder.parent / "cache")
    assert {"rejected.parquet", "summary.json"} <= set(os.listdir(out))
    loaded = load_dataset("parquet", data_dir=out, data_files="part-*.parquet", cache_dir=cache)
    assert loaded["train"]["id"][:] == ["good"]


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


# ---- what stops the stage --------------------------------------------------------------------


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


def test_a_saved_dataset_without_a_question_names_the_column_to_rename(folder):
    data = Dataset.from_list([{"promt": "?", "answer": "a"}])
    with pytest.raises(UserError, match=r"found promt, answer(?s:.*)rename 'promt'"):
        read(saved(folder, data))


def test_a_damaged_shard_is_named_with_what_to_do(folder):
    write_shards([sample_row(GOOD_SAMPLE)], folder, SAMPLES)
    part = folder / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"part-00000\.parquet cannot be read") as caught:
        read(folder)
    assert "damaged" in caught.value.why and "restore" in caught.value.todo
