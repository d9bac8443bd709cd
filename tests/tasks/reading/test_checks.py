"""A record that breaks a rule of samples is set aside with its reason."""

import pytest
from datasets import Dataset
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from tasks.questions import KINDS
from tasks.reading import checks
from tasks.records.images import BadPicture
from tasks.records.rows import read_summary
from tests.tasks.reading.folders import (
    BAD,
    GOOD,
    GOOD_SAMPLE,
    PLAIN,
    PNG,
    jsonl,
    read,
    reasons,
    with_own_id,
)

WRONG_TYPES = [
    ({"boxes": [["left", 2, 3, 4]]}, "corners"),
    ({"boxes": [1, 2, 3, 4]}, "corners"),
    ({"boxes": "1, 2, 3, 4"}, "corners"),
    ({"boxes": [[1, 2, None, 4]]}, "corners"),
    ({"details": ["a list"]}, "details"),
    ({"metric": ["exact"]}, "metric"),
]


JUDGED = {
    "pair": {"question": "Which?", "responses": ["a", "b"]},
    "point": {"question": "How good?", "responses": ["a"]},
}


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
    assert reason.startswith("unknown metric 'guess'")
    assert all(metric in reason for metric in KINDS)


@pytest.mark.parametrize("metric", ["exact", "caption", "pair", "point"])
def test_a_metric_that_compares_answers_needs_one(folder, metric):
    bad = {"prompt": "?", "metric": metric, "answer": " ", "details": JUDGED.get(metric)}
    bad["split"] = "test"
    assert reasons(jsonl(folder, GOOD, bad)) == {"empty answer": 1}


@pytest.mark.parametrize("metric", ["detections", "tagged_detections"])
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


def test_a_bad_second_picture_is_noticed(folder):
    images = ["pictures/red.png", "records.jsonl"]
    jsonl(folder, GOOD, PLAIN | {"images": images})
    assert reasons(folder) == {"unreadable picture": 1}


def test_a_record_that_was_set_aside_does_not_use_up_its_id(folder):
    broken = GOOD | {"boxes": [[3, 2, 3, 4]]}
    assert read(jsonl(folder, broken, GOOD)) == [GOOD_SAMPLE]


def test_the_largest_bombs_are_called_too_large_too(folder):
    Pillow.new("1", (20_000, 10_000)).save(folder / "pictures" / "bomb.png")
    jsonl(folder, GOOD, PLAIN | {"image": "pictures/bomb.png"})
    assert reasons(folder) == {"picture too large": 1}


@pytest.mark.parametrize("metric", ["box", "tagged_box"])
@pytest.mark.parametrize("boxes", [[], [[1, 2, 3, 4], [5, 2, 8, 4]]], ids=["none", "two"])
def test_an_answer_of_one_box_needs_exactly_one_true_box(folder, boxes, metric):
    bad = GOOD | {"id": "bad", "metric": metric, "boxes": boxes}
    assert reasons(jsonl(folder, GOOD, bad)) == {f"metric {metric} needs exactly one box": 1}
    (sample,) = read(jsonl(folder, GOOD | {"metric": metric}))
    assert sample == GOOD_SAMPLE.model_copy(update={"metric": metric})


@pytest.mark.parametrize(("size", "kept"), [((400, 2), True), ((402, 2), False), ((2, 402), False)])
def test_a_picture_that_no_processor_takes_is_set_aside(folder, size, kept):
    Pillow.new("RGB", size).save(folder / "pictures" / "strip.png")
    jsonl(folder, GOOD, PLAIN | {"image": "pictures/strip.png"})
    assert reasons(folder) == ({} if kept else {"picture is too long and narrow": 1})


def test_pictures_that_fit_alone_but_not_together_are_set_aside(folder, monkeypatch):
    monkeypatch.setattr(checks, "PIXELS_IN_ALL", 3 * 200)
    three, four = ({"images": ["pictures/red.png"] * n} for n in (3, 4))
    jsonl(folder, PLAIN | three, PLAIN | four)
    assert reasons(folder) == {"pictures too large together": 1}
    monkeypatch.setattr(checks, "BYTES_IN_ALL", 3 * len(PNG) - 1)
    jsonl(folder, PLAIN, PLAIN | three)
    assert reasons(folder) == {"pictures too large together": 1}


def test_a_picture_with_much_text_is_called_that(folder):
    about = PngInfo()
    about.add_text("a", "x" * 2_000_000, zip=True)
    Pillow.new("RGB", (64, 48)).save(folder / "pictures" / "text.png", pnginfo=about)
    jsonl(folder, GOOD, PLAIN | {"image": "pictures/text.png"})
    assert reasons(folder) == {"picture with too much text beside its pixels": 1}


def test_a_broken_picture_of_many_questions_is_opened_once(folder, monkeypatch):
    opened = []

    def broken(data):
        opened.append(data)
        raise BadPicture("picture takes too long to decode")

    monkeypatch.setattr(checks, "kept", broken)
    (folder / "pictures" / "slow.png").write_bytes(b"slow")
    jsonl(folder, PLAIN, *(PLAIN | {"image": "pictures/slow.png"} for _ in range(5)))
    assert reasons(folder) == {"picture takes too long to decode": 5}
    assert opened == [b"slow"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "x" * 10_001}, "id or task of more than 10000 characters"),
        ({"prompt": "x" * 1_000_001}, "text of more than 1000000 characters"),
        ({"split": "\x1b[31m"}, r"unknown split '\x1b[31m' (known: train, dev, test)"),
        ({"prompt": {"role": "user", "content": "?"}}, "prompt is neither text nor a number"),
    ],
    ids=["id", "prompt", "escape sequence", "messages"],
)
def test_what_is_no_text_to_ask_is_set_aside(folder, change, reason):
    assert reasons(jsonl(folder, GOOD, PLAIN | change)) == {reason: 1}
