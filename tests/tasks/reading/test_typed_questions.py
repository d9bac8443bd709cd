"""Visionary-R1's columns in every layout that it is shipped in, and what is set aside."""

import base64
import json
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Image
from hypothesis import given
from hypothesis import strategies as st

from tasks.reading.checks import Unusable
from tasks.reading.dataset import read_dataset
from tasks.reading.typed_questions import inferred_type, typed_question, types_found
from tasks.records.rows import Sample, read_rows, read_summary, sample_of
from tasks.rewards.typed import right_by_type
from tests.tasks.reading.folders import different, jsonl, saved

SIZE = (56, 42)
PAPER = [
    {"problem": "How many?", "solution": "<think>1 + 6</think> <answer> 7 </answer>",
     "problem_type": "numerical"},
    {"problem": "What is written?", "solution": "<answer> Loblaws </answer>",
     "problem_type": "OCR"},
    {"problem": "Describe it.", "solution": "<answer> a cat on a mat </answer>",
     "problem_type": "free_form"},
    {"problem": "Which?\nA. red\nB. blue", "solution": "<answer> B </answer>",
     "problem_type": "multiple-choice"},
    {"problem": "What colour?", "solution": "<answer> red </answer>", "problem_type": "colours"},
    {"problem": "How much?", "solution": "<answer> 1,234 </answer>"},
    {"problem": "Which colour?", "solution": "<answer> blue </answer>"},
]  # fmt: skip
EXPECTED = [
    ("7", "numerical", "said"), ("Loblaws", "OCR", "said"), ("a cat on a mat", "free-form", "said"),
    ("B", "multiple-choice", "said"), ("red", "colours", "unknown"),
    ("1,234", "numerical", "inferred"), ("blue", "short-answer", "inferred"),
]  # fmt: skip


def typed(folder: Path, smallest_side: int = 28) -> tuple[list[Sample], dict[str, int]]:
    """Read a folder as a flow that asks for such questions does; return why others are not."""
    out = folder.parent / "typed"
    read_dataset(
        folder, out, folder.parent / "aside", 1.0,
        shaped=partial(typed_question, smallest_side=smallest_side),
    )  # fmt: skip
    return [sample_of(row) for row in read_rows(out)], read_summary(out)["set_aside"]


def picture(number: int) -> bytes:
    return different(str(number), SIZE)


def as_jsonl(folder: Path, rows: list[dict]) -> Path:
    for number, _ in enumerate(rows):
        (folder / f"{number}.png").write_bytes(picture(number))
    return jsonl(folder, *(row | {"image": f"{n}.png"} for n, row in enumerate(rows)))


def as_saved(folder: Path, rows: list[dict]) -> Path:
    names = {name for row in rows for name in row}
    columns = {name: [row.get(name) for row in rows] for name in names}
    data = Dataset.from_dict(
        columns | {"image": [{"bytes": picture(n), "path": None} for n, _ in enumerate(rows)]}
    )
    return saved(folder, data.cast_column("image", Image()))


def as_parquet(folder: Path, rows: list[dict]) -> Path:
    """As a snapshot of the Hub is: `data/train-00000-of-00001.parquet`."""
    (folder / "data").mkdir()
    stored = [
        {"problem_type": None} | row | {"image": {"bytes": picture(n), "path": f"{n}.png"}}
        for n, row in enumerate(rows)
    ]
    table = pa.Table.from_pylist(stored)
    pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("written", [as_jsonl, as_saved, as_parquet])
def test_the_papers_columns_are_read_from_every_layout(folder, written):
    samples, set_aside = typed(written(folder, PAPER))
    assert set_aside == {}
    assert [
        (one.final, one.details["problem_type"], one.details["type_from"]) for one in samples
    ] == EXPECTED
    assert [one.prompt for one in samples] == [row["problem"] for row in PAPER]
    assert [one.images for one in samples] == [[picture(n)] for n, _ in enumerate(PAPER)]
    assert {one.metric for one in samples} == {"typed"}
    assert samples[3].details["options"] == {"A": "red", "B": "blue"}
    assert types_found(samples) == {
        "OCR/said": 1, "colours/unknown": 1, "free-form/said": 1, "multiple-choice/said": 1,
        "numerical/inferred": 1, "numerical/said": 1, "short-answer/inferred": 1,
    }  # fmt: skip


def test_a_type_that_nobody_knows_is_compared_exactly(folder):
    samples, _ = typed(as_jsonl(folder, PAPER))
    odd = samples[4]
    said = ["<answer>red</answer>", "<answer>reds</answer>"]
    assert right_by_type(said, [odd.final] * 2, [odd.details["problem_type"]] * 2) == [1.0, 0.0]


def test_questions_of_vlmevalkit_have_inferred_types(folder):
    rows = ["index\timage\tquestion\tA\tB\tanswer"]
    asked = [("Which?", "red", "blue", "B"), ("How many?", "", "", "12"), ("Who?", "", "", "a man")]
    for number, (question, a, b, answer) in enumerate(asked):
        coded = base64.b64encode(picture(number)).decode()
        rows.append(f"{number}\t{coded}\t{question}\t{a}\t{b}\t{answer}")
    (folder / "mine.tsv").write_text("\n".join(rows) + "\n")
    samples, set_aside = typed(folder)
    assert set_aside == {}
    assert [(one.final, one.details["problem_type"]) for one in samples] == [
        ("B", "multiple-choice"), ("12", "numerical"), ("a man", "short-answer"),
    ]  # fmt: skip
    assert samples[0].prompt.endswith("Answer with the letter of the right option.")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"solution": "12"}, "solution without <answer> tags"),
        ({"solution": "12", "problem_type": "OCR"}, "solution without <answer> tags"),
        ({"solution": "<answer>1</answer><answer>2</answer>"}, "several answer tags"),
        ({"solution": "<answer>1</answer><answer>2</answer>", "problem_type": "OCR"},
         "several answer tags"),
        ({"solution": "<answer>1"}, "answer without an end"),
        ({"solution": "<answer> </answer>"}, "empty answer"),
        ({"solution": "<answer> </answer>", "problem_type": "OCR"}, "empty answer"),
        ({"solution": ""}, "solution without <answer> tags"),
        ({"solution": "<answer>7</answer>", "problem": " "}, "empty prompt"),
        ({"solution": f"<answer>{'a' * 3000}</answer>"}, "answer of more than 2000 characters"),
        ({"solution": "<answer>1</answer>", "boxes": [[1, 2, 30, 40]]}, "no question about"),
        ({"solution": "<answer>1</answer>", "problem_type": ["OCR"]}, "neither text nor a number"),
    ],
)  # fmt: skip
def test_what_is_no_question_with_a_short_answer_is_set_aside(folder, row, reason):
    samples, set_aside = typed(as_jsonl(folder, [PAPER[0], {"problem": "What?"} | row]))
    assert len(samples) == 1
    (told,) = set_aside
    assert reason in told


def test_an_answer_in_its_own_column_needs_no_tags(folder):
    rows = [{"question": "How many?", "answer": "7", "problem_type": "OCR"},
            {"question": "How much?", "answer": "8"}]  # fmt: skip
    samples, _ = typed(as_jsonl(folder, rows))
    assert [one.final for one in samples] == ["7", "8"]


@pytest.mark.parametrize(
    ("size", "smallest", "kept"), [((3, 3), 28, 0), ((40, 27), 28, 0), ((28, 60), 28, 1),
                                   ((28, 60), 32, 0), ((3, 3), 1, 1)],
)  # fmt: skip
def test_a_picture_below_the_smallest_side_is_set_aside(folder, size, smallest, kept):
    as_jsonl(folder, PAPER[:2])
    (folder / "1.png").write_bytes(different("small", size))
    samples, set_aside = typed(folder, smallest)
    assert len(samples) == 1 + kept
    told = f"picture with a side of less than {smallest} pixels"
    assert set_aside == ({} if kept else {told: 1})


def test_a_question_without_a_picture_is_no_such_question(folder):
    jsonl(folder, {"problem": "What?", "solution": "<answer>1</answer>"})
    as_typed = Sample(id="a", task="t", split="train", prompt="?", answer="1")
    with pytest.raises(Unusable, match="no question about a picture"):
        typed_question(as_typed)


@given(st.text(max_size=40), st.sampled_from(["exact", "anls", "final"]))
def test_any_answer_has_one_type_and_asking_twice_changes_nothing(gold, metric):
    sample = Sample(
        id="a", task="t", split="train", prompt="?", metric=metric, answer=gold, final=gold,
        images=[picture(0)],
    )  # fmt: skip
    if not gold.strip():
        with pytest.raises(Unusable, match="empty answer"):
            typed_question(sample)
        return
    once = typed_question(sample)
    assert once.details["problem_type"] == inferred_type(gold.strip(), {}, metric)
    twice = typed_question(once)
    assert twice.model_copy(update={"details": {}}) == once.model_copy(update={"details": {}})
    assert twice.details["problem_type"] == once.details["problem_type"]
    json.dumps(twice.details)
