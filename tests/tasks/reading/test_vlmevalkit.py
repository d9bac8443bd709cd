"""VLMEvalKit's TSV: options, pictures in base64, by reference and by path; what cannot be used."""

import base64
import csv
from pathlib import Path

import pytest

from tasks.records.rows import Sample
from tasks.running.errors import UserError
from tests.tasks.reading.folders import different, read, reasons

COLUMNS = ("index", "image", "question", "hint", "A", "B", "answer", "category", "split")


def coded(name: str) -> str:
    return base64.b64encode(different(name)).decode()


def table(tmp_path: Path, *rows: dict, columns: tuple = COLUMNS, name: str = "bench.tsv") -> Path:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", newline="") as file:
        written = csv.DictWriter(file, columns, delimiter="\t", restval="")
        written.writeheader()
        written.writerows(rows)
    return folder


CHOICE = {"index": 7, "image": coded("a"), "question": "Which colour?", "A": "red", "B": "a\tblue",
          "answer": "B", "category": "colour"}  # fmt: skip


def test_a_question_with_options_is_asked_for_the_letter(tmp_path):
    assert read(table(tmp_path, CHOICE)) == [
        Sample(
            id="7", task="colour", split="test", metric="exact", answer="B", size=(12, 8),
            prompt="Which colour?\nA. red\nB. a\tblue\nAnswer with the letter of the right option.",
            images=[different("a")], details={"options": {"A": "red", "B": "a\tblue"}},
        )
    ]  # fmt: skip


def test_an_open_question_its_hint_and_its_split(tmp_path):
    row = {"index": 1, "image": coded("a"), "hint": "It is round.", "question": "What is\nit?",
           "answer": "a ball", "split": "dev"}  # fmt: skip
    rest = {"index": 2, "image": coded("b"), "question": "Else?", "answer": "1"}
    first, _ = read(table(tmp_path, row, rest))
    assert (first.prompt, first.answer) == ("It is round.\nWhat is\nit?", "a ball")
    assert (first.task, first.split) == ("question", "dev")


def test_the_name_of_a_file_may_say_the_split_and_tells_rows_of_several_apart(tmp_path):
    table(tmp_path, CHOICE | {"image": coded("c")}, name="mine_train.tsv")
    folder = table(tmp_path, CHOICE, name="mine_val.tsv")
    found = {sample.id: sample.split for sample in read(folder)}
    assert found.keys() == {"mine_train:7", "mine_val:7"}
    assert found["mine_train:7"] == "train" != found["mine_val:7"]


def test_a_picture_may_be_that_of_an_earlier_row_or_a_file(tmp_path):
    folder = table(
        tmp_path, CHOICE, CHOICE | {"index": 1000007, "image": "7", "answer": "A"},
        {"index": 3, "image_path": "x.png", "question": "What?", "answer": "it"},
        columns=(*COLUMNS, "image_path"),
    )  # fmt: skip
    (folder / "x.png").write_bytes(different("x"))
    assert [sample.images for sample in read(folder)] == [
        [different("a")], [different("a")], [different("x")],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": ""}, "no picture"),
        ({"image": "99"}, "no picture"),
        ({"image": "?" * 80}, "picture is not base64"),
        ({"image": "AAAA" * 20}, "unreadable picture"),
        ({"answer": ""}, "answer that is the letter of no option"),
        ({"answer": "C"}, "answer that is the letter of no option"),
        ({"A": "", "B": "", "answer": "['x', 'y']"}, "answer is a list of several"),
        ({"A": "", "B": "", "answer": ""}, "empty answer"),
        ({"question": ""}, "empty prompt"),
        ({"question": "<image> or <image>?"}, "question with 2 marks <image>, and 1 pictures"),
    ],
)
def test_what_cannot_be_used_is_set_aside(tmp_path, change, reason):
    good = CHOICE | {"index": 1, "image": coded("good")}
    told = reasons(table(tmp_path, good, CHOICE | change))
    assert len(told) == 1 and reason in next(iter(told)), told


def test_a_row_that_is_cut_off_is_set_aside(tmp_path):
    folder = table(tmp_path, CHOICE)
    with (folder / "bench.tsv").open("a") as file:
        file.write("8\tabc\n")
    assert list(reasons(folder)) == ["row with other columns than the first"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"index\tquestion\tanswer\n1\t\xff\t1\n", "line 2 is not UTF-8"),
        (b"a\tb\n1\t2\n", "is not a data set that Collimate can read"),
        (b"", "is not a data set that Collimate can read"),
    ],
)
def test_what_is_no_table_of_this_kind_is_told(tmp_path, content, told):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.tsv").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read(tmp_path / "data")
