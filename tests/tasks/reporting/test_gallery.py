"""Examples are chosen by a fixed rule, and pictures of any size are drawn with their boxes."""

import random
from collections import Counter

import pytest
from PIL import Image

from tasks.records.boxes import Box
from tasks.records.images import to_png
from tasks.reporting.gallery import CHANGES, changes, choose
from tasks.reporting.pictures import LARGEST, boxes_in, embed, rectangles

FRAME = (1000, 1000)


def rows(task: str, number: int, predicted: tuple = ()) -> list[dict]:
    return [
        {"id": f"{task}-{i}", "task": task, "reference": "", "predicted": list(predicted)}
        for i in range(number)
    ]


@pytest.fixture
def score_rows() -> list[dict]:
    return rows("aim", 80) + rows("boxed", 80, ([1, 2, 3, 4],)) + rows("plain", 80)


def test_the_choice_does_not_depend_on_the_order_of_the_rows(score_rows):
    kinds = {row["id"]: CHANGES[i % 4] for i, row in enumerate(score_rows)}
    chosen = choose(score_rows, kinds, ["aim"], 30)
    random.Random(0).shuffle(score_rows)
    assert choose(score_rows, kinds, ["aim"], 30) == chosen and len(set(chosen)) == 30


def test_aims_come_first_and_most_and_progress_as_often_as_harm(score_rows):
    kinds = {row["id"]: CHANGES[i % 4] for i, row in enumerate(score_rows)}
    chosen = choose(score_rows, kinds, ["aim"], 42)
    by_task = Counter(name.split("-")[0] for name in chosen)
    assert by_task == {"aim": 24, "boxed": 12, "plain": 6}
    assert chosen[0].startswith("aim")
    by_change = Counter(kinds[name] for name in chosen)
    assert by_change["improved"] == by_change["worse"] == 14 and len(by_change) == 4


def test_few_items_are_all_chosen(score_rows):
    kinds = {row["id"]: "worse" for row in score_rows[:7]}
    assert sorted(choose(score_rows, kinds, [], 30)) == sorted(kinds)


def test_only_questions_that_every_policy_answered_are_compared():
    results = {
        "base": [{"id": "a", "score": 0.0}, {"id": "b", "score": 1.0}],
        "policy_grpo": [{"id": "b", "score": 0.5}, {"id": "c", "score": 1.0}],
    }
    assert changes(results) == {"b": "worse"}
    assert changes({}) == {}


def test_a_photograph_is_embedded_smaller_and_its_boxes_stay_in_its_own_pixels():
    picture = embed(to_png(Image.new("RGB", (1600, 900), (90, 120, 30))))
    assert not picture.crisp and picture.source.startswith("data:image/jpeg;base64,")
    assert (picture.width, picture.height) == (1600, 900) and LARGEST < 1600
    (drawn,) = rectangles([Box(500, 500, 1000, 1000, FRAME)], picture, "true")
    assert (drawn.x, drawn.y, drawn.width, drawn.height) == (800, 450, 800, 450)


def test_a_small_picture_is_enlarged_by_a_whole_factor():
    picture = embed(to_png(Image.new("RGB", (96, 64))))
    assert picture.crisp and picture.shown == 192


def test_an_unreadable_picture_and_a_turned_box_draw_nothing():
    assert embed(b"no picture") is None
    assert rectangles([Box(1, 1, 2, 2, FRAME)], None, "true") == []
    picture = embed(to_png(Image.new("RGB", (10, 10))))
    assert rectangles([Box(800, 1, 200, 2, FRAME)], picture, "true") == []


@pytest.mark.parametrize(
    ("text", "corners"),
    [
        ('[{"bbox_2d": [1, 2, 30, 40], "confidence": 0.9}]', [[1, 2, 30, 40]]),
        ("A is 5 [1, 2, 3, 4], B is 6 [1, 2, 3, 4]", [[1, 2, 3, 4]]),
        ("[0, 0, 2000, 10] lies outside", []),
        ("[1, 2, 3] and [a, b, c, d] and [", []),
    ],
    ids=["detections", "the same twice", "outside the frame", "malformed"],
)
def test_boxes_are_read_from_any_text(text, corners):
    assert [box.corners() for box in boxes_in(text, FRAME)] == corners
