"""Pictures are found by their names, and never outside the data folder."""

import json

import pytest

from tests.tasks.reading.folders import GOOD, PLAIN, PNG, jsonl, reasons


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
