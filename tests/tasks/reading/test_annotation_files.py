"""Annotations are recognised by what is in a file; what is damaged or incomplete is named."""

import json
from pathlib import Path

import pytest

from tasks.running.errors import UserError
from tests.tasks.reading.coco_folders import (
    CATEGORIES,
    CATS,
    box,
    coco,
    found,
    image,
)
from tests.tasks.reading.folders import read, reasons, set_aside


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["instances.json", "annotations/boxes.json"])
def test_annotations_are_recognised_by_what_is_in_them(folder, name):
    assert len(found(coco(folder, [CATS], name=name))) == 1


def test_cocos_files_about_other_things_are_named_and_not_read(folder):
    coco(folder, [CATS], [image(1)])
    for name in ("captions_train2017", "person_keypoints_train2017"):
        (folder / "annotations" / f"{name}.json").write_text("{")
    (folder / "licence.json").write_text('{"name": "CC"}')
    assert len(read(folder)) == 2
    assert reasons(folder) == {"JSON file that is not about boxes of all categories": 3}


def test_a_file_that_is_no_json_is_named(folder):
    coco(folder, [CATS])
    (folder / "annotations" / "instances_val2017.json").write_text('{"images": [')
    with pytest.raises(UserError, match=r"instances_val2017\.json is not JSON"):
        read(folder)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ({"images": [], "annotations": []}, "lacks 'categories'"),
        ({"images": []}, "lacks 'annotations' and 'categories'"),
        ({"images": {}, "annotations": [], "categories": []}, "lacks 'images'"),
    ],
)
def test_a_file_that_lacks_a_list_says_which(folder, content, missing):
    coco(folder, [CATS])
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"instances_val2017\.json {missing}") as caught:
        read(folder)
    assert "found images" in caught.value.why


def test_texts_that_are_no_unicode_are_set_aside(folder):
    odd = [*CATEGORIES[:1], {"id": 18, "name": "d\ud800g"}]
    coco(folder, [CATS, box("\ud800", 1, 18, [1, 1, 5, -5]), box(3, 2, 18, [1, 1, 5, 5])],
         categories=odd)  # fmt: skip
    assert len(found(folder)) == 1
    assert set_aside(folder)["instances_train2017:annotation:?"] == "box of negative size"
    assert reasons(folder)["text that is not Unicode"] == 1
