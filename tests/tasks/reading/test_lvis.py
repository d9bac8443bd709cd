"""LVIS says which categories it knows to be absent, and which it did not annotate exhaustively."""

from pathlib import Path

import pytest

from tests.tasks.reading.coco_folders import SIZE, box, coco, found, picture
from tests.tasks.reading.folders import read, set_aside


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


LVIS = [
    {"id": 1, "name": "aerosol_can", "synset": "aerosol.n.02", "frequency": "c", "def": "a can"},
    {"id": 2, "name": "die", "synset": "die.n.01", "frequency": "r", "def": "a cube"},
    {"id": 3, "name": "person", "synset": "baby.n.01", "frequency": "f", "def": "a human"},
    {"id": 4, "name": "sofa", "synset": "sofa.n.01", "frequency": "f", "def": "a seat"},
]


def lvis(folder: Path, **change) -> Path:
    """Write one LVIS v1 picture, which names its file by address only."""
    entry = {
        "date_captured": "2013-11-15 04:30:29", "neg_category_ids": [3], "id": 1, "license": 4,
        "height": SIZE[1], "width": SIZE[0], "flickr_url": "http://farm9.staticflickr.com/8186.jpg",
        "coco_url": "http://images.cocodataset.org/train2017/000000000001.jpg",
        "not_exhaustive_category_ids": [],
    } | change  # fmt: skip
    boxes = [box(1, 1, 1, [1, 1, 5, 5]), box(2, 1, 2, [9, 9, 5, 5])]
    for annotation in boxes:
        del annotation["iscrowd"]
    return coco(folder, boxes, [entry], LVIS, name="lvis_v1_train.json")


def test_lvis_names_the_picture_by_address_and_says_how_common_a_category_is(folder):
    samples = {s.label: s for s in read(lvis(folder)) if s.corners}
    assert samples["die"].id == "lvis_v1_train:1:2"
    assert samples["die"].details == {"image": "1", "frequency": "r"}
    assert samples["aerosol_can"].details["frequency"] == "c"
    assert samples["aerosol_can"].prompt == "Find every aerosol_can."


def test_the_folder_in_the_address_decides_between_pictures_of_one_name(folder):
    picture(folder / "val2017" / "000000000001.jpg", (9, 9))
    assert {sample.size for sample in read(lvis(folder))} == {SIZE}


@pytest.mark.parametrize(("negative", "absent"), [([3], ["person"]), ([], []), ([1, 77], [])])
def test_only_what_annotators_looked_for_in_vain_is_called_absent(folder, negative, absent):
    """Sofas were not looked for here, and aerosol cans are there."""
    samples = read(lvis(folder, neg_category_ids=negative))
    assert [sample.label for sample in samples if not sample.corners] == absent


def test_a_category_that_is_not_annotated_exhaustively_is_set_aside(folder):
    lvis(folder, not_exhaustive_category_ids=[2])
    assert list(found(folder)) == ["lvis_v1_train:1:1"]
    reason = "category that is not annotated exhaustively in this picture"
    assert set_aside(folder) == {"lvis_v1_train:1:2": reason}
