"""COCO's files become questions whose truth is complete; the rest is set aside."""

from collections import Counter
from pathlib import Path

import pytest

from tests.tasks.reading.coco_folders import (
    CATEGORIES,
    CATS,
    SIZE,
    box,
    coco,
    found,
    image,
    picture,
)
from tests.tasks.reading.folders import read, reasons, set_aside

INCOMPLETE = "another annotation of this category in this picture cannot be used"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


def test_each_category_in_a_picture_is_one_question_about_all_its_boxes(folder):
    annotations = [CATS, box(2, 1, 18, [30, 8, 20, 20]), box(3, 1, 17, [40, 0, 24, 48])]
    samples = {sample.id: sample for sample in read(coco(folder, annotations, [image(1)]))}
    assert set(samples) == {f"instances_train2017:1:{id}" for id in (17, 18, 65)}
    cats = samples["instances_train2017:1:17"]
    assert cats.corners == [[2.5, 4, 12.5, 24.25], [40, 0, 64, 48]]
    assert (cats.task, cats.metric, cats.label) == ("detection", "tagged_detections", "cat")
    assert (cats.prompt, cats.answer, cats.size) == ("Find every cat.", "", SIZE)
    assert cats.details == {"image": "1", "frequency": ""}
    assert cats.images == [(folder / "train2017" / "000000000001.jpg").read_bytes()]


def test_each_picture_is_asked_about_one_category_that_is_not_in_it(folder):
    images = [image(id) for id in range(1, 31)]
    coco(folder, [box(id, id, 17, [2, 4, 10, 20]) for id in range(1, 31)], images)
    for id in range(1, 31):
        picture(folder / "train2017" / f"{id:012}.jpg")
    absent = {s.details["image"]: s for s in read(folder) if not s.corners}
    assert len(absent) == 30
    assert Counter(s.label for s in absent.values()).keys() == {"dog", "bed"}
    assert {s.prompt for s in absent.values()} == {"Find every dog.", "Find every bed."}
    assert {s.id: s.label for s in read(folder) if not s.corners} == {
        s.id: s.label for s in absent.values()
    }


def test_a_picture_with_every_category_is_asked_about_no_absent_one(folder):
    annotations = [box(id, 1, id, [2, 4, 10, 20]) for id in (17, 18, 65)]
    assert len(read(coco(folder, annotations, [image(1)]))) == 3


def test_a_crowd_is_present_but_cannot_be_asked_about(folder):
    crowd = box(2, 1, 18, [0, 0, 30, 30], iscrowd=1, segmentation={"counts": [1], "size": [2, 2]})
    coco(folder, [CATS, crowd], [image(1)], CATEGORIES[:2])
    assert found(folder) == {"instances_train2017:1:17": [[2.5, 4, 12.5, 24.25]]}
    assert set_aside(folder) == {
        "instances_train2017:annotation:2": "annotation of a crowd",
        "instances_train2017:1:18": INCOMPLETE,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iscrowd": 1}, "annotation of a crowd"),
        ({"bbox": [1, 2, 0, 4]}, "box without area"),
        ({"bbox": [1, 2, 5, -4]}, "box of negative size"),
        ({"bbox": [1, 2, float("nan"), 4]}, "box with NaN or infinity"),
        ({"bbox": [1, 2, float("inf"), 4]}, "box with NaN or infinity"),
        ({"bbox": [1, 2, 10**400, 4]}, "box with NaN or infinity"),
        ({"bbox": [1, 2, 3]}, "box without four numbers"),
        ({"bbox": [1, 2, "3", 4]}, "box without four numbers"),
        ({"bbox": [1, 2, True, 4]}, "box without four numbers"),
        ({"bbox": None}, "box without four numbers"),
        ({"id": 1}, "duplicate annotation id"),
        ({"id": [1]}, "annotation id that is neither a number nor a text"),
    ],
    ids=str,
)
def test_an_unusable_box_takes_its_question_with_it(folder, change, reason):
    """Without it the truth would be incomplete, and a box that finds the object punished."""
    bad = box(3, 1, 17, [20, 20, 5, 5]) | change
    coco(folder, [CATS, bad, box(4, 1, 18, [0, 0, 9, 9])], [image(1)])
    assert list(found(folder)) == ["instances_train2017:1:18"]
    assert reasons(folder) == {reason: 1, INCOMPLETE: 1}


@pytest.mark.parametrize(
    ("bbox", "corners"),
    [
        ([-0.8, -1, 10, 10], [0, 0, 9.2, 9]),
        ([60, 40, 4.9, 9], [60, 40, 64, 48]),
        ([-1.2, 0, 10, 10], None),
        ([60, 40, 4, 9.1], None),
        ([200, 200, 4, 4], None),
        ([1e308, 0, 1e308, 4], None),
    ],
)
def test_a_box_may_stick_out_of_the_real_picture_by_a_pixel_and_is_clipped(folder, bbox, corners):
    coco(folder, [CATS, box(2, 1, 18, bbox)], [image(1)])
    expected = {} if corners is None else {"instances_train2017:1:18": [corners]}
    got = {id: c for id, c in found(folder).items() if id.endswith(":18")}
    assert got == {id: [pytest.approx(c) for c in rows] for id, rows in expected.items()}
    assert reasons(folder) == ({} if corners else {"box outside the picture": 1})


def test_boxes_drawn_on_a_picture_of_another_size_are_set_aside(folder):
    coco(folder, [CATS, box(2, 2, 17, [1, 1, 5, 5])], [image(1, width=48, height=64), image(2)])
    assert list(found(folder)) == ["instances_train2017:2:17"]
    assert reasons(folder) == {"picture of another size than its boxes were drawn on": 2}


@pytest.mark.parametrize("size", [{}, {"width": 0, "height": 0}, {"width": None, "height": None}])
def test_a_file_need_not_name_the_sizes(folder, size):
    nameless = {"id": 1, "file_name": "000000000001.jpg"} | size
    (cats,) = (s for s in read(coco(folder, [CATS], [nameless])) if s.corners)
    assert cats.size == SIZE


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (box(9, 7, 17, [1, 1, 5, 5]), "unknown image id"),
        (box(9, "01", 17, [1, 1, 5, 5]), "unknown image id"),
        (box(9, [1], 17, [1, 1, 5, 5]), "unknown image id"),
        ([], "annotation is not a JSON object"),
    ],
    ids=str,
)
def test_an_annotation_of_no_picture_is_set_aside_alone(folder, annotation, reason):
    coco(folder, [CATS, annotation], [image(1)])
    assert len(read(folder)) == 2
    assert reasons(folder) == {reason: 1}


@pytest.mark.parametrize("category", [99, "17.0", None, [17]])
def test_where_an_object_of_an_unknown_category_is_nothing_is_called_absent(folder, category):
    coco(folder, [CATS, box(9, 1, category, [1, 1, 5, 5])], [image(1)])
    assert [sample.label for sample in read(folder)] == ["cat"]
    assert reasons(folder) == {
        "unknown category id": 1, "category that may be in the picture after all": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (image(1), {"duplicate image id": 1}),
        (
            image(1, file_name="000000000002.jpg"),
            {"duplicate image id": 1, "image id that stands for several pictures": 2},
        ),
        ("1.jpg", {"image is not a JSON object": 1}),
        ({"file_name": "1.jpg"}, {"image without an id": 1}),
        ({"file_name": "1.jpg", "id": 1.5}, {"image without an id": 1}),
        ({"id": 5}, {"image without a file name": 1}),
        ({"id": 5, "file_name": 5}, {"image without a file name": 1}),
        (
            image(5, neg_category_ids=5),
            {"image whose neg_category_ids is no list of ids": 1},
        ),
    ],
    ids=str,
)
def test_an_unusable_image_entry_is_set_aside(folder, entry, expected):
    coco(folder, [CATS, box(2, 2, 17, [1, 1, 5, 5])], [image(1), image(2), entry])
    assert "instances_train2017:2:17" in found(folder)
    assert reasons(folder) == expected


def test_a_category_id_of_two_names_means_nothing(folder):
    doubled = [*CATEGORIES, {"id": 17, "name": "lion"}, {"id": 3}, {"name": "x"}]
    coco(folder, [CATS, box(2, 2, 18, [1, 1, 5, 5])], categories=doubled)
    assert list(found(folder)) == ["instances_train2017:2:18"]
    assert reasons(folder) == {
        "duplicate category id": 1, "category without a name": 1, "category without an id": 1,
        "unknown category id": 1, "category that may be in the picture after all": 1,
    }  # fmt: skip


def test_categories_of_one_name_are_asked_about_together(folder):
    """Some exports repeat a class as its own group: "Find every cat." means both."""
    categories = [*CATEGORIES, {"id": 0, "name": "cat"}]
    annotations = [CATS, box(2, 1, 0, [30, 30, 10, 10])]
    boxes = found(coco(folder, annotations, [image(1)], categories))
    assert boxes == {"instances_train2017:1:17": [[2.5, 4, 12.5, 24.25], [30, 30, 40, 40]]}


@pytest.mark.parametrize("place", ["", "train2017", "images", "images/train2017", "a/b"])
def test_a_picture_is_found_wherever_it_is(folder, place):
    coco(folder, [box(1, 8, 17, [1, 1, 5, 5])], [image(8)])
    picture(folder / place / "000000000008.jpg")
    assert list(found(folder)) == ["instances_train2017:8:17"]


def test_of_pictures_with_one_name_the_one_in_the_folder_of_the_file_is_meant(folder):
    entry = {"id": 1, "file_name": "1.png"}
    for name, width in (("train", 30), ("val", 40)):
        boxes = [box(1, 1, 17, [0, 0, width, 10])]
        coco(folder, boxes, [entry], name=f"annotations/{name}.json")
        picture(folder / "images" / name / "1.png", (width, 10))
    sizes = {sample.id: sample.size for sample in read(folder) if sample.corners}
    assert sizes == {"train:1:17": (30, 10), "val:1:17": (40, 10)}


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        ("missing.jpg", "picture file is missing"),
        (".", "picture file is missing"),
        ("text.jpg", "unreadable picture"),
        ("../secret.jpg", "picture path leaves the data folder"),
        ("twice.jpg", "several picture files have this name"),
        ("\0", "picture file cannot be opened"),
    ],
)
def test_a_picture_that_cannot_be_read_is_set_aside(folder, file_name, reason):
    for file in ("../secret.jpg", "x/twice.jpg", "y/twice.jpg"):
        picture(folder / file)
    (folder / "text.jpg").write_text("no picture")
    boxes = [CATS, box(2, 5, 17, [1, 1, 5, 5])]
    coco(folder, boxes, [image(1), image(5, file_name=file_name)])
    assert list(found(folder)) == ["instances_train2017:1:17"]
    assert reasons(folder) == {reason: 2}  # its cats, and what is absent


# ---- splits ----------------------------------------------------------------------------------


def splits(folder: Path) -> dict[str, set[str]]:
    """Read a folder and return the splits by annotation file."""
    found: dict[str, set[str]] = {}
    for sample in read(folder):
        found.setdefault(sample.id.split(":")[0], set()).add(sample.split)
    return found


def many(folder: Path, *stems: str) -> Path:
    images = [image(id) for id in range(1, 41)]
    for stem in stems:
        coco(folder, [], images, name=f"annotations/{stem}.json")
    for id in range(1, 41):
        picture(folder / "train2017" / f"{id:012}.jpg")
    return folder


def test_without_a_test_file_half_of_the_validation_pictures_become_test(folder):
    many(folder, "instances_train2017", "instances_val2017")
    expected = {"instances_train2017": {"train"}, "instances_val2017": {"dev", "test"}}
    assert splits(folder) == expected


def test_with_a_test_file_every_file_is_what_its_name_says(folder):
    expected = {"train": {"train"}, "valid": {"dev"}, "test": {"test"}}
    assert splits(many(folder, *expected)) == expected


@pytest.mark.parametrize("stem", ["instances_train2017", "boxes"])
def test_a_single_file_is_split_by_picture(folder, stem):
    (parts,) = splits(many(folder, stem)).values()
    assert parts == {"train", "dev", "test"}
    pictures = {sample.details["image"]: sample.split for sample in read(folder)}
    assert Counter(pictures.values())["train"] > 25


def test_validation_pictures_are_never_trained_on(folder):
    assert splits(many(folder, "instances_val2017")) == {"instances_val2017": {"dev", "test"}}


def test_all_questions_about_a_picture_are_in_one_split(folder):
    boxes = [box(10 * i + k, i, 17 + k, [1, 1, 5, 5]) for i in range(1, 41) for k in (0, 1)]
    many(folder, "boxes")
    coco(folder, boxes, [image(id) for id in range(1, 41)], name="annotations/boxes.json")
    pairs = {(sample.details["image"], sample.split) for sample in read(folder)}
    assert len(pairs) == 40


def test_a_limit_gives_pictures_of_every_file(folder):
    many(folder, "instances_train2017", "instances_val2017")
    samples = read(folder, limit=30)
    assert len(samples) == 30
    assert len({sample.id.split(":")[0] for sample in samples}) == 2
    assert samples == read(folder)[:30]
