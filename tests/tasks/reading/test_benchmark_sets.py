"""MathVista, MathVision, MMStar and MMBench, in the files that their authors released."""

import base64
import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Image, Sequence, Value

from tasks.reading.benchmark_sets import in_circles, read_benchmark, rotations
from tasks.records.rows import Sample
from tests.tasks.reading.folders import different, read, reasons

TEXT = Value("string")
VISTA = Features(
    {
        "pid": TEXT, "question": TEXT, "image": TEXT, "decoded_image": Image(),
        "choices": Sequence(TEXT), "unit": TEXT, "precision": Value("float64"), "answer": TEXT,
        "question_type": TEXT, "answer_type": TEXT,
        "metadata": {
            "category": TEXT, "context": TEXT, "grade": TEXT, "img_height": Value("int64"),
            "img_width": Value("int64"), "language": TEXT, "skills": Sequence(TEXT), "source": TEXT,
            "split": TEXT, "task": TEXT,
        },
        "query": TEXT,
    }
)  # fmt: skip
ABOUT = {
    "category": "math-targeted-vqa", "context": "scientific figure", "grade": "college",
    "img_height": 8, "img_width": 12, "language": "english", "skills": ["scientific reasoning"],
    "source": "SciBench", "split": "testmini", "task": "textbook question answering",
}  # fmt: skip
VISTA_ROWS = [
    {
        "pid": "1", "question": "How long is it?", "image": "images/1.jpg", "choices": None,
        "unit": None, "precision": 1.0, "answer": "1.2", "question_type": "free_form",
        "answer_type": "float", "metadata": ABOUT,
        "query": "Hint: Please answer the question requiring a floating-point number with one "
        "decimal place and provide the final value, e.g., 1.2, 1.3, 1.4, at the end.\n"
        "Question: How long is it?",
    },
    {
        "pid": "2", "question": "What is the angle?", "image": "images/2.jpg",
        "choices": ["135°", "140°", "145°", "150°"], "unit": None, "precision": None,
        "answer": "145°", "question_type": "multi_choice", "answer_type": "text", "metadata": ABOUT,
        "query": "Hint: Please answer the question and provide the correct option letter, e.g., A, "
        "B, C, D, at the end.\nQuestion: What is the angle?\nChoices:\n(A) 135°\n(B) 140°\n"
        "(C) 145°\n(D) 150°",
    },
    {
        "pid": "3", "question": "How many?", "image": "images/3.jpg", "choices": None, "unit": None,
        "precision": None, "answer": "2", "question_type": "free_form", "answer_type": "integer",
        "metadata": ABOUT, "query": "Hint: …\nQuestion: How many?",
    },
]  # fmt: skip
VISION_ROWS = [
    {
        "id": "4", "question": "Which number should be written in place of the mark?\n<image1>",
        "options": ["60", "64", "70"], "image": "images/4.jpg", "answer": "B", "solution": None,
        "level": 4, "subject": "algebra",
    },
    {
        "id": "8", "question": "Which one is it? <image1> <image2>", "options": ["A", "B", "C"],
        "image": "images/8.jpg", "answer": "C", "solution": None, "level": 2,
        "subject": "solid geometry",
    },
    {
        "id": "17", "question": "How many are there?\n<image1>", "options": [],
        "image": "images/17.jpg", "answer": "11", "solution": "5 + 6", "level": 1,
        "subject": "counting",
    },
]  # fmt: skip
STAR_ROWS = [
    {
        "index": 0, "question": "Which option is right?\nOptions: A: The case is on the book., B: "
        "It is, again, below the cat., C: It is far., D: It is black.", "answer": "B",
        "category": "coarse perception", "l2_category": "image scene and topic",
        "meta_info": {"source": "MMBench", "split": "val", "image_path": "images/0.jpg"},
    },
]  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def picture(row: dict) -> bytes:
    return different(str(row.get("pid") or row.get("id") or row["index"]))


def vista_parquet(folder: Path) -> None:
    (folder / "data").mkdir()
    rows = [r | {"decoded_image": {"bytes": picture(r), "path": None}} for r in VISTA_ROWS]
    data = Dataset.from_list(rows, features=VISTA)
    data.to_parquet(str(folder / "data" / "testmini-00000-of-00001-725687bf7a18d64b.parquet"))


def with_pictures(folder: Path, rows: list[dict]) -> None:
    (folder / "images").mkdir()
    for row in rows:
        (folder / row["image"]).write_bytes(picture(row))


def vista_json(folder: Path) -> None:
    """As in the authors' repository, where the queries are in a file of their own."""
    with_pictures(folder, VISTA_ROWS)
    by_id = {row["pid"]: {k: v for k, v in row.items() if k != "query"} for row in VISTA_ROWS}
    (folder / "data").mkdir()
    (folder / "data" / "testmini.json").write_text(json.dumps(by_id, indent=4))


def vision_parquet(folder: Path) -> None:
    (folder / "data").mkdir()
    stored = [r | {"decoded_image": {"bytes": picture(r), "path": None}} for r in VISION_ROWS]
    pq.write_table(pa.Table.from_pylist(stored), folder / "data" / "test-00000-of-00001.parquet")


def vision_jsonl(folder: Path) -> None:
    with_pictures(folder, VISION_ROWS)
    lines = [json.dumps(row) for row in VISION_ROWS]
    (folder / "test.jsonl").write_text("\n".join(lines) + "\n")


def star_parquet(folder: Path) -> None:
    stored = [row | {"image": picture(row)} for row in STAR_ROWS]
    pq.write_table(pa.Table.from_pylist(stored), folder / "mmstar.parquet")


@pytest.mark.parametrize("written", [vista_parquet, vista_json])
def test_mathvista(folder, written):
    written(folder)
    found = read_benchmark(folder)
    assert (found.layout, found.set_aside) == ("MathVista", {})
    number, choice, count = found.samples
    assert (number.final, number.details["decimals"]) == ("1.2", 1)
    assert number.details["problem_type"] == count.details["problem_type"] == "numerical"
    assert (choice.final, choice.details["problem_type"]) == ("C", "multiple-choice")
    assert choice.details["options"]["C"] == "145°"
    assert [one.images for one in found.samples] == [[picture(row)] for row in VISTA_ROWS]
    assert {(one.split, one.metric, one.task) for one in found.samples} == {
        ("test", "typed", "mathvista")
    }
    if written is vista_parquet:
        assert [one.prompt for one in found.samples] == [row["query"] for row in VISTA_ROWS]
    else:
        assert choice.prompt.startswith("What is the angle?\nA. 135°\nB. 140°")


@pytest.mark.parametrize("written", [vision_parquet, vision_jsonl])
def test_mathvision(folder, written):
    written(folder)
    found = read_benchmark(folder)
    assert (found.layout, found.set_aside) == ("MathVision", {})
    choice, shown, number = found.samples
    assert (choice.final, choice.details["options"]) == ("B", {"A": "60", "B": "64", "C": "70"})
    assert choice.prompt == (
        "Which number should be written in place of the mark?\nA. 60\nB. 64\nC. 70\n"
        "Answer with the letter of the right option."
    )
    assert shown.prompt.startswith("Which one is it?\nA. A\n")
    assert (shown.final, shown.task) == ("C", "mathvision_solid_geometry")
    assert (number.final, number.details["problem_type"]) == ("11", "numerical")
    assert number.prompt == "How many are there?"
    assert [one.id for one in found.samples] == ["4", "8", "17"]


def test_mmstar(folder):
    star_parquet(folder)
    found = read_benchmark(folder)
    assert (found.layout, found.set_aside) == ("MMStar", {})
    (one,) = found.samples
    assert (one.final, one.task) == ("B", "mmstar_coarse_perception")
    assert one.details["options"]["B"] == "It is, again, below the cat."
    assert one.images == [picture(STAR_ROWS[0])]


@pytest.mark.parametrize(
    ("rows", "change", "reason"),
    [
        (VISTA_ROWS, {"choices": ["a"], "answer": "b"}, "answer that is none of the options"),
        (VISTA_ROWS, {"answer": ""}, "empty answer"),
        (VISTA_ROWS, {"image": "images/none.jpg"}, "picture file is missing"),
        (VISTA_ROWS, {"image": "../secret.png"}, "picture path leaves the data folder"),
        (VISTA_ROWS, {"precision": "one"}, "row of another form than its file's"),
        (VISION_ROWS, {"answer": "Z"}, "answer that is the letter of no option"),
        (VISION_ROWS, {"options": list("abcdefghi")}, "more than 8 options"),
        (VISION_ROWS, {"options": 3}, "row of another form than its file's"),
    ],
)
def test_a_row_that_cannot_be_asked_is_counted_and_no_other(folder, rows, change, reason):
    with_pictures(folder, rows)
    lines = [json.dumps(row) for row in [*rows[1:], rows[0] | change]]
    (folder / "test.jsonl").write_text("\n".join(lines) + "\n{\n[]\n")
    found = read_benchmark(folder)
    assert len(found.samples) == 2
    assert found.set_aside == {
        reason: 1, "line is not JSON": 1, "line is not a JSON object": 1,
    }  # fmt: skip


def test_what_a_flow_reads_of_a_benchmark_is_for_testing_and_scored_by_type(folder):
    vision_parquet(folder)
    assert {(one.split, one.metric) for one in read(folder)} == {("test", "typed")}
    assert reasons(folder) == {}


def test_mathvista_as_vlmevalkit_has_it(folder):
    """The options stand in the question, and the answer is the text of one."""
    with (folder / "MathVista_MINI.tsv").open("w", newline="") as file:
        written = csv.writer(file, delimiter="\t")
        written.writerow(("index", "image", "question", "answer", "answer_option", "category"))
        for row in VISTA_ROWS:
            coded = base64.b64encode(picture(row)).decode()
            option = "C" if row["choices"] else ""
            written.writerow(
                (row["pid"], coded, row["query"], row["answer"], option, "math-targeted-vqa")
            )
    number, choice, _ = read_benchmark(folder).samples
    assert (choice.final, choice.details["problem_type"]) == ("C", "multiple-choice")
    assert choice.details["options"]["C"] == "145°"
    assert (number.final, number.details["problem_type"]) == ("1.2", "numerical")


# ---- MMBench ----

BENCH_COLUMNS = (
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source",
    "l2-category", "comment", "split",
)  # fmt: skip
BENCH_ROWS = [
    {"index": 241, "question": "Identify the question.", "hint": "Read the text.", "A": "Is it?",
     "B": "What's the smallest?", "C": "Where?", "D": "Who?", "answer": "B",
     "category": "identity_reasoning", "source": "scienceqa", "l2-category": "attribute_reasoning",
     "split": "dev"},
    {"index": 252, "question": "Which one?", "A": "left", "B": "right", "answer": "A",
     "category": "spatial_relationship", "source": "vsr", "l2-category": "relation_reasoning",
     "split": "dev"},
]  # fmt: skip


def bench(folder: Path, rows: list[dict]) -> Path:
    with (folder / "mmbench_dev_en.tsv").open("w", newline="") as file:
        written = csv.DictWriter(file, BENCH_COLUMNS, delimiter="\t", restval="")
        written.writeheader()
        written.writerows(rows)
    return folder


def first_rows() -> list[dict]:
    return [
        row | {"image": base64.b64encode(picture(row)).decode("ascii")} for row in BENCH_ROWS
    ]  # fmt: skip


def all_rows() -> list[dict]:
    """Every rotation as its publishers list them: a million more, with the first row's picture."""
    rows = first_rows()
    for row in BENCH_ROWS:
        letters = [letter for letter in "ABCD" if letter in row]
        for shift in range(1, len(letters)):
            turned = letters[shift:] + letters[:shift]
            moved = {new: row[old] for new, old in zip(letters, turned, strict=True)}
            gold = letters[turned.index(row["answer"])]
            index = row["index"] + shift * 1_000_000
            rows.append(row | moved | {"index": index, "answer": gold, "image": str(row["index"])})
    return rows


def test_the_rotations_of_mmbench_are_those_that_we_make(folder, tmp_path):
    (tmp_path / "other").mkdir()
    made = in_circles(read_benchmark(bench(folder, first_rows())).samples)
    listed = in_circles(read_benchmark(bench(tmp_path / "other", all_rows())).samples)
    assert len(made) == len(listed) == 6

    def asked(samples: list[Sample]) -> set[tuple]:
        return {
            (one.details["circle"], one.prompt, one.final, one.details["options"][one.final],
             one.images[0], one.split)
            for one in samples
        }  # fmt: skip

    assert asked(made) == asked(listed)
    assert {one.details["circle"] for one in listed} == {"241", "252"}
    assert len({one.id for one in made}) == 6
    assert {one.details["options"][one.final] for one in made} == {"What's the smallest?", "left"}


def test_a_question_without_options_of_our_own_is_not_rotated(folder):
    star_parquet(folder)
    (star,) = read_benchmark(folder).samples
    assert rotations(star) == [star]
    open_question = star.model_copy(update={"details": {}, "final": "7"})
    assert rotations(open_question) == [open_question]
    (alone,) = in_circles([open_question])
    assert alone.details["circle"] == "0"
