"""Signs of tricks: what each looks like, and what does not count as one."""

import pytest

from tasks.questions import KINDS
from tasks.records.boxes import Box
from tasks.rewards.suspicion import SIGNS

FRAME = (100, 100)
TWO = [[10, 10, 30, 30], [60, 60, 90, 90]]


def tagged(payload: str) -> str:
    return f"<think>look</think><answer>{payload}</answer>"


def listed(*boxes: list[int]) -> str:
    return tagged(str([{"bbox_2d": box, "confidence": 0.9} for box in boxes]))


def boxes(corners: list[list[int]]) -> list[Box]:
    return [Box(*row, FRAME) for row in corners]


@pytest.mark.parametrize(
    ("text", "true", "expected"),
    [
        (listed(*TWO), TWO, []),
        (listed([0, 0, 99, 99]), TWO, ["whole_picture", "one_of_many"]),
        (listed([1, 1, 99, 99]), [[0, 0, 100, 100]], []),  # the object is that large
        (listed(*TWO, [11, 10, 30, 30]), TWO, ["repeated_box"]),
        (listed(*TWO, [10, 10, 30, 20]), TWO, []),  # half of the other box: another box
        (listed(TWO[0]), TWO, ["one_of_many"]),
        (listed(TWO[0]), TWO[:1], []),
        (listed(*[[i, 40, i + 4, 44] for i in range(0, 50, 10)]), TWO, ["too_many"]),
        (listed(*[[i, 40, i + 4, 44] for i in range(0, 40, 10)]), TWO, []),  # just twice as many
        (tagged("No Objects"), TWO, ["nothing"]),
        (tagged("No Objects"), [], []),
        ("no tags, so no reward and no trick", TWO, []),
    ],
)
def test_signs_of_a_detection(text, true, expected):
    row = {"frame": FRAME, "boxes": true}
    assert KINDS["tagged_detections"].signs(text, row, []) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [("(1,1),(99,99)", ["whole_picture"]), ("[1, 1, 40, 40]", []), ("somewhere", [])],
)
def test_signs_of_pointing(payload, expected):
    assert KINDS["tagged_box"].signs(tagged(payload), {"frame": FRAME}, []) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("red circle", []),
        ("red circle or blue star", ["several_classes"]),
        ("RED CIRCLE, circle", []),  # the shorter name stands inside the longer one
        ("something else", []),
    ],
)
def test_signs_of_a_classification(payload, expected):
    classes = ["red circle", "circle", "blue star"]
    assert KINDS["final"].signs(tagged(payload), {"frame": FRAME}, classes) == expected


def test_every_sign_is_explained():
    assert all(text and name.islower() for name, text in SIGNS.items()) and len(SIGNS) == 6
