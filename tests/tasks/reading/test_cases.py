"""What people have: values are understood or refused, never made to fit. One test for each case.

The numbers are those of the issue's cases; pictures turned or in odd modes are in
test_one_picture.py, damaged shards in test_tables.py, and linked classes in test_class_folders.py.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from tasks.reading.splits import FEWEST
from tasks.running.errors import UserError
from tests.tasks.reading.coco_folders import box, coco, found, image
from tests.tasks.reading.folders import PLAIN, different, jsonl, read, reasons, saved, set_aside


def pictured(folder: Path, *rows: dict, name: str = "records") -> Path:
    """Write rows, each with a picture of its own."""
    lines = []
    for number, row in enumerate(rows):
        path = f"pictures/{name}{number}.png"
        (folder / path).write_bytes(different(path))
        lines.append({"image": path} | row)
    return jsonl(folder, *lines, name=name)


def splits(folder: Path) -> Counter:
    return Counter(sample.split for sample in read(folder))


@pytest.mark.parametrize(("val", "test"), [("val", "test"), ("my-validation", "b_test_v2")])
def test_the_name_of_a_file_decides_the_split(folder, val, test):
    """Case 02: all 14 were trained on."""
    for name, number in (("train", 8), (val, 3), (test, 3)):
        pictured(folder, *[PLAIN] * number, name=name)
    assert splits(folder) == {"train": 8, "dev": 3, "test": 3}


def test_the_split_of_a_record_is_stronger_and_may_have_the_names_of_others(folder):
    pictured(folder, *(PLAIN | {"split": s} for s in ("Validation", "val", "train")), name="test")
    assert splits(folder) == {"dev": 2, "train": 1}


def test_the_names_of_saved_splits_decide_too(folder):
    parts = {name: Dataset.from_list([PLAIN]) for name in ("train_sft", "valid", "test_sft")}
    assert splits(saved(folder, DatasetDict(parts))) == {"train": 1, "dev": 1, "test": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"prompt": [{"role": "user", "content": "Which?"}], "solution": "red"}, ("Which?", "red")),
        ({"question": "Which?", "answer": ["red"]}, ("Which?", "red")),
        ({"question": "Which?", "answer": ["red", "Red"]}, "answer is a list of several"),
        ({"question": "Which?", "answer": []}, "empty answer"),
        ({"question": "Which?", "answer": {"value": 1}}, "answer is neither text nor a number"),
        ({"question": "Which?", "answer": True}, "answer is neither text nor a number"),
        ({"question": ["Which?"], "answer": "red"},
         "prompt with a turn of no known role (user, assistant)"),
    ],
)  # fmt: skip
def test_lists_and_objects_are_understood_or_refused(folder, change, expected):
    """Case 03: the model was asked "[{'role': 'user', ...}]"."""
    pictured(folder, PLAIN, change)
    if isinstance(expected, str):
        assert reasons(folder) == {expected: 1}
    else:
        assert [(s.prompt, s.answer) for s in read(folder)][1:] == [expected]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"solution": "<answer> red </answer>"}, ("final", "red")),
        ({"solution": "<think>r</think><answer>red</answer>"}, ("final", "red")),
        ({"answer": "<answer>red</answer>", "metric": "final"}, ("final", "red")),
        ({"answer": "red"}, ("exact", "")),
        ({"answer": "<answer>red"}, "answer that cannot be read: answer without an end"),
        ({"answer": "<answer>a</answer><answer>b</answer>"},
         "answer that cannot be read: several answer tags"),
    ],
)  # fmt: skip
def test_an_answer_in_tags_is_the_value_in_them(folder, row, expected):
    """Case 04: a right "red" earned 0."""
    pictured(folder, PLAIN, {"problem": "Which?"} | row)
    if isinstance(expected, str):
        assert reasons(folder) == {expected: 1}
    else:
        assert [(s.metric, s.final) for s in read(folder)][1:] == [expected]


def roboflow(folder: Path, part: str, number: int) -> None:
    groups = [{"id": 0, "name": "shapes", "supercategory": "none"},
              {"id": 1, "name": "square", "supercategory": "shapes"},
              {"id": 2, "name": "circle", "supercategory": "shapes"}]  # fmt: skip
    names = [f"{part}{id}_png.rf.png" for id in range(number)]
    images = [image(id, file_name=name) for id, name in enumerate(names)]
    boxes = [box(id, id, 1, [8, 8, 21, 21]) for id in range(number)]
    coco(folder, boxes, images, groups, f"{part}/_annotations.coco.json")
    for name in names:
        (folder / part / name).write_bytes(different(name, (64, 48)))


def test_a_roboflow_export_is_boxes_with_its_splits(folder):
    """Case 05: it was a question of the classes "train", "valid" and "test"."""
    for part, number in (("train", 20), ("valid", 6), ("test", 4)):
        roboflow(folder, part, number)
    samples = read(folder)
    boxes = Counter(sample.split for sample in samples if sample.corners)
    assert boxes == {"train": 20, "dev": 6, "test": 4}
    assert {s.label for s in samples if not s.corners} == {"circle"}  # never the group "shapes"
    assert samples[0].id.split(":")[0] in ("train", "valid", "test") and not reasons(folder)


def test_pictures_beside_their_masks_are_no_classes(folder):
    """Case 06."""
    for part in ("images", "masks"):
        (folder / "set" / part).mkdir(parents=True)
        (folder / "set" / part / "1.png").write_bytes(different(part))
    with pytest.raises(UserError, match="pictures in images and masks, which are no classes"):
        read(folder / "set")


def test_ids_that_begin_anew_in_each_file_are_different(folder):
    """Case 07: all test rows were duplicates."""
    for name, number in (("a-train", 24), ("b-test", 5)):
        rows = (PLAIN | {"id": id, "split": name[2:]} for id in range(number))
        pictured(folder, *rows, name=name)
    assert splits(folder) == {"train": 24, "test": 5} and not reasons(folder)
    jsonl(folder, PLAIN | {"id": 0}, PLAIN | {"id": "0"}, name="a-train")
    assert set_aside(folder) == {"a-train:2": "duplicate id"}


def test_ids_that_begin_anew_in_each_saved_split_are_different(folder):
    rows = [PLAIN | {"id": id} for id in range(3)]
    data = DatasetDict({split: Dataset.from_list(rows) for split in ("train", "test")})
    assert splits(saved(folder, data)) == {"train": 3, "test": 3}


def test_ids_of_pictures_may_be_texts_in_one_list_and_numbers_in_another(folder):
    """Case 08: what VIA writes was asked as absent."""
    coco(folder, [box(1, "1", "17", [2, 4, 10, 20])], [image(1)])
    assert found(folder) == {"instances_train2017:1:17": [[2, 4, 12, 24]]}


def test_a_picture_whose_boxes_may_be_lost_is_not_asked_about_what_is_absent(folder):
    coco(folder, [box(1, 1, 17, [2, 4, 10, 20]), box(2, 99, 17, [2, 4, 10, 20])])
    assert {s.details["image"] for s in read(folder)} == {"1"}
    assert reasons(folder) == {
        "unknown image id": 1, "picture without annotations, among others of unknown pictures": 1
    }  # fmt: skip


def test_a_picture_under_two_ids_has_one_truth(folder):
    """Case 09, LIVECell: the second id was asked "Find every cat" with the truth "nothing"."""
    again = image(101, file_name=f"{1:012}.jpg")
    coco(folder, [box(1, 1, 17, [2, 4, 10, 20])], [image(1), again])
    assert found(folder) == {"instances_train2017:1:17": [[2, 4, 12, 24]]} and not reasons(folder)
    assert {s.details["image"] for s in read(folder)} == {"1"}
    coco(folder, [box(1, 101, 17, [2, 4, 10, 20])], [image(1), again])
    assert found(folder) == {"instances_train2017:101:17": [[2, 4, 12, 24]]}


def test_a_picture_under_two_ids_with_two_truths_is_set_aside(folder):
    again = image(101, file_name=f"{1:012}.jpg")
    boxes = [box(1, 1, 17, [2, 4, 10, 20]), box(2, 101, 17, [8, 8, 9, 9])]
    coco(folder, [*boxes, box(3, 2, 17, [2, 4, 10, 20])], [image(1), image(2), again])
    assert set(found(folder)) == {"instances_train2017:2:17"}
    assert reasons(folder) == {"picture with several image ids and different annotations": 4}


def test_copies_of_a_picture_are_drawn_into_one_split(folder):
    for number in range(40):
        data = different(str(number // 2))
        (folder / "pictures" / f"{number}.png").write_bytes(data)
    jsonl(folder, *(PLAIN | {"image": f"pictures/{n}.png"} for n in range(40)))
    drawn: dict[bytes, set] = {}
    for sample in read(folder):
        drawn.setdefault(sample.images[0], set()).add(sample.split)
    assert len(drawn) == 20 and all(len(held) == 1 for held in drawn.values())
    assert set.union(*drawn.values()) == {"train", "dev", "test"}


def test_a_picture_of_two_splits_with_two_truths_is_set_aside_from_the_later(folder, capsys):
    one, two = PLAIN | {"image": "pictures/red.png"}, {"image": "pictures/red.png"}
    jsonl(folder, one | {"split": "train"}, one | {"split": "test"},
          one | two | {"answer": "b", "split": "test"})  # fmt: skip
    assert set_aside(folder) == {
        "records:3": "another truth than the same picture has in the train split"
    }
    assert "1 records show pictures that are in another split" in capsys.readouterr().out


@pytest.mark.parametrize("bbox", [[0.125, 0.16, 0.33, 0.44], [0, 0, 1, 1]], ids=str)
def test_boxes_as_shares_are_refused(folder, bbox):
    """Case 10: true boxes of a third of a pixel were kept."""
    coco(folder, [box(1, 1, 17, bbox), box(2, 2, 17, [2, 4, 10, 20])])
    assert "boxes within one pixel, as shares of a picture are; pixels are needed" in reasons(
        folder
    )


NO_FRAME = "box_frame is neither `pixels`, nor a number, nor width and height"


@pytest.mark.parametrize(
    ("frame", "boxes", "expected"),
    [
        (1, [[0.25, 0.5, 0.5, 1]], [[5, 5, 10, 10]]),
        (1000, [[250, 500, 500, 1000]], [[5, 5, 10, 10]]),
        ([40, 40], [[10, 20, 20, 40]], [[5, 5, 10, 10]]),
        ("pixels", [[5, 5, 10, 10]], [[5, 5, 10, 10]]),
        ("relative", [[5, 5, 10, 10]], NO_FRAME),
        (0, [[5, 5, 10, 10]], NO_FRAME),
        (1, [[5, 5, 10]], "box without four numbers"),
        (1, [[250, 500, 500, 1000]], "box outside the picture"),
    ],
    ids=str,
)  # fmt: skip
def test_the_frame_of_boxes_can_be_declared(folder, frame, boxes, expected):
    row = {"prompt": "p", "image": "pictures/red.png", "boxes": boxes, "box_frame": frame}
    jsonl(folder, PLAIN, row)
    if isinstance(expected, str):
        assert reasons(folder) == {expected: 1}
    else:
        assert read(folder)[1].corners == expected  # the picture has 20 x 10 pixels


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|video_pad|>", "<|im_end|>"])
def test_special_tokens_are_text_like_any_other(folder, token):
    """Case 13: asking and training read them as text, so that nothing has to be set aside."""
    pictured(folder, {"prompt": f"What is {token}?", "answer": token})
    assert [(s.prompt, s.answer) for s in read(folder)] == [(f"What is {token}?", token)]


def test_a_class_folder_is_asked_about_its_name_whatever_it_is(folder):
    for name in ("mask", "no_mask"):
        (folder / "set" / name).mkdir(parents=True)
        (folder / "set" / name / "1.png").write_bytes(different(name))
    assert {sample.final for sample in read(folder / "set")} == {"mask", "no mask"}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"width": "64", "height": "48"}, True),
        ({"width": 64.0, "height": 48.0}, True),
        ({"width": "64 px", "height": "48"}, "size of a picture that is no whole number"),
        ({"width": 65, "height": 48}, "picture of another size than its boxes were drawn on"),
    ],
    ids=str,
)
def test_sizes_may_be_texts(folder, change, kept):
    """Case 22b: they were sizes "of another picture"."""
    boxes = [box(1, 1, 17, [2, 4, 10, 20]), box(2, 2, 17, [2, 4, 10, 20])]
    coco(folder, boxes, [image(1, **change), image(2)])
    assert len(found(folder)) == (2 if kept is True else 1)
    assert reasons(folder) == ({} if kept is True else {kept: 2})


@pytest.mark.parametrize(
    ("said", "reason"),
    [("0", ""), (0.0, ""), (False, ""), (None, ""), ("1", "annotation of a crowd"),
     (True, "annotation of a crowd"), ("no", "iscrowd is neither 0 nor 1"),
     (2, "iscrowd is neither 0 nor 1"), ([0], "iscrowd is neither 0 nor 1")],
)  # fmt: skip
def test_a_crowd_is_what_says_so(folder, said, reason):
    """Case 22c: "0" was one."""
    coco(folder, [box(1, 1, 17, [2, 4, 10, 20], iscrowd=said)], [image(1)])
    assert len(found(folder)) == (not reason)
    assert (reason in reasons(folder)) == bool(reason)


def test_a_category_may_be_called_a_number(folder):
    """Case 22d."""
    coco(folder, [box(1, 1, 1, [2, 4, 10, 20])], [image(1)], [{"id": 1, "name": 7}])
    assert [(s.label, s.prompt) for s in read(folder)] == [("7", "Find every 7.")]


# Values of any kind, and the texts that they may be understood as.
ODD = [None, True, 0, 1.5, "", " ", "a", [], ["a"], ["a", "b"], [["a"]], [1], {}, {"a": "a"},
       [{"a": "a"}], [{"role": "user", "content": "a"}], [{"role": "assistant", "content": "a"}],
       [{"role": "user"}], [{"from": "human", "value": "a"}, {"from": "gpt", "value": "a"}],
       {"role": "user", "content": "a"}, [None], "<answer>a</answer>", "<answer>a", -1,
       1e400]  # fmt: skip
TEXTS = {"", " ", "0", "1", "1.5", "a", "-1", "inf", "p", "<answer>a</answer>", "<answer>a",
         "question", "records:1"}  # fmt: skip


@pytest.mark.parametrize(
    "column",
    ["prompt", "answer", "messages", "completion", "label", "final", "id", "task", "image",
     "metric", "boxes", "box_frame", "split", "details"],
)  # fmt: skip
def test_a_value_is_understood_or_refused_and_never_made_to_fit(folder, column):
    kept = refused = 0
    for value in ODD:
        beside = {"messages": {}, "completion": {"prompt": "p"}}.get(column, PLAIN)
        row = beside | {column: value}
        row |= {"image": "pictures/red.png", "boxes": [[1, 2, 3, 4]]} if "frame" in column else {}
        (folder / "records.jsonl").write_text(json.dumps(row) + "\n")
        try:
            (sample,) = read(folder)
        except UserError as error:  # the only record is set aside
            refused += 1
            assert "1 of 1 records" in error.what
            continue
        kept += 1
        texts = (sample.prompt, sample.answer, sample.label, sample.final, sample.id, sample.task)
        assert set(texts) <= TEXTS, value
    assert kept and refused


def test_small_data_has_at_least_one_dev_and_two_test_pictures(folder):
    """The issue's number 28: ten pictures gave no dev picture and one test picture."""
    for number in range(4, 16):
        images = [image(id) for id in range(number)]
        coco(folder, [box(id, id, 17, [2, 4, 10, 20]) for id in range(number)], images)
        for id in range(number):
            name = f"{id:012}.jpg"
            (folder / "train2017" / name).write_bytes(different(name, (64, 48)))
        pictures = {(s.details["image"], s.split) for s in read(folder)}
        held = Counter(split for _, split in pictures)
        assert held.total() == number and held["train"]
        assert all(held[split] >= fewest for split, fewest in FEWEST.items()), number


def test_the_last_example_of_a_class_is_learnt_from(folder):
    pictured(folder, *(PLAIN | {"label": label} for label in "aaaabbc"))
    samples = read(folder)
    assert {s.label for s in samples if s.split == "train"} == set("abc")
    assert {s.split for s in samples} == {"train", "dev", "test"}
