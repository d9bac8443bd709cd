"""Questions about documents in exactly the files that their authors released."""

import json
from base64 import b64encode
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.questions import score
from tasks.reading.layouts import recognised
from tasks.reading.splits import Splits
from tasks.records.boxes import Box, square_of
from tests.tasks.reading.folders import different, read, reasons

FRAME = (1.0, 1.0)


def written(folder: Path, files: dict[str, object]) -> Path:
    for path, held in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(held, bytes):
            file.write_bytes(held)
        else:
            file.write_text(held if isinstance(held, str) else json.dumps(held))
    return folder


def by_id(folder: Path) -> dict:
    return {sample.id: sample for sample in read(folder)}


def kind(folder: Path) -> str:
    return recognised(folder, Splits())[0]


def test_chartqa_keeps_human_and_augmented_questions_apart(tmp_path):
    chart = {"imgname": "8.png", "query": "How many bars?", "label": "4"}
    folder = written(tmp_path, {
        "train/train_human.json": [chart], "train/png/8.png": different("train"),
        "train/train_augmented.json": [chart | {"query": "Which year?", "label": "2019"}],
        "val/val_human.json": [chart], "val/png/8.png": different("val"),
        "test/test_human.json": [chart | {"label": "2%"}], "test/png/8.png": different("test"),
    })  # fmt: skip
    found = by_id(folder)
    assert kind(folder) == "ChartQA" and len(found) == 4
    first = found["train/train_human:1"]
    assert (first.task, first.metric, first.answer, first.split) == (
        "chartqa_human", "relaxed", "4", "train",
    )  # fmt: skip
    assert first.images == [different("train")]  # and not the picture of the same name in val/
    assert found["train/train_augmented:1"].task == "chartqa_augmented"
    assert found["val/val_human:1"].split == "dev" and found["test/test_human:1"].split == "test"


def test_chartqa_as_parquet(tmp_path):
    rows = [
        {"image": {"bytes": different(str(n)), "path": None}, "query": f"Query {n}?",
         "label": ["Brand A"], "human_or_machine": n} for n in (0, 1)
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "test-00000-of-00001.parquet")
    found = read(tmp_path)
    assert [s.task for s in found] == ["chartqa_human", "chartqa_augmented"]
    assert {s.answer for s in found} == {"Brand A"} and {s.split for s in found} == {"test"}


def test_tabmwp_asks_for_the_text_of_a_choice_and_names_the_unit(tmp_path):
    free = {
        "question": "How much?", "choices": None, "answer": "1.50", "unit": "$",
        "table_title": None, "table": "a | b", "table_for_pd": {"a": ["1"]}, "row_num": 2,
        "column_num": 2, "solution": "Add.", "ques_type": "free_text",
        "ans_type": "decimal_number", "grade": 2, "split": "train",
    }  # fmt: skip
    choice = free | {"question": "Is it?", "choices": ["yes", "no"], "answer": "no", "unit": None,
                     "ques_type": "multi_choice", "split": "test"}  # fmt: skip
    folder = written(tmp_path, {
        "problems_train.json": {"7": free, "9": choice}, "tables/7.png": different("7"),
        "tables/9.png": different("9"),
    })  # fmt: skip
    found = by_id(folder)
    first, second = found["problems_train:7"], found["problems_train:9"]
    assert (first.prompt, first.metric, first.task) == (
        "How much? (unit: $)", "number", "tabmwp_free_text",
    )  # fmt: skip
    assert first.details == {"solution": "Add."}
    assert second.prompt == "Is it?\nOptions: yes, no" and second.answer == "no"
    assert (first.split, second.split) == ("train", "test")


def test_dvqa_has_the_box_of_an_answer(tmp_path):
    row = {"image": "bar_train_1.png", "question": "What is the value of x?", "question_id": 1,
           "answer": "7", "answer_bbox": [2.0, 3.0, 4.0, 2.0], "template_id": "data"}  # fmt: skip
    folder = written(tmp_path, {
        "qa/train_qa.json": [row, row | {"question": "Two?", "answer_bbox": []}],
        "qa/val_hard_qa.json": [row | {"image": "bar_val_1.png", "answer_bbox": [2, 3, 40, 2]}],
        "images/bar_train_1.png": different("a"), "images/bar_val_1.png": different("b"),
    })  # fmt: skip
    found = by_id(folder)
    assert found["qa/train_qa:1"].corners == [[2, 3, 6, 5]] and not found["qa/train_qa:2"].corners
    assert found["qa/train_qa:1"].task == "dvqa_data"
    assert len(found) == 2 and len(reasons(folder)) == 1  # a box outside the picture


def test_tatdqa_asks_about_pages_that_were_rendered(tmp_path):
    rows = [
        {"doc": {"uid": uid, "page": 1, "source": "x.pdf"}, "questions": [
            {"uid": "q1", "order": 1, "question": "What changed?", "answer": 12.5,
             "derivation": "", "answer_type": "arithmetic", "scale": "percent"},
            {"uid": "q2", "order": 2, "question": "Which years?", "answer": ["2018", "2019"],
             "derivation": "", "answer_type": "multi-span", "scale": ""},
            {"uid": "q3", "order": 3, "question": "How much?", "answer": ["3"],
             "derivation": "", "answer_type": "span", "scale": "million"},
        ]} for uid in ("there", "lost")
    ]  # fmt: skip
    folder = written(tmp_path, {
        "tatdqa_dataset_train.json": rows, "pages/there.png": different("a"),
    })  # fmt: skip
    found = read(folder)
    assert [s.answer for s in found] == ["12.5%", "2018, 2019", "3 million"]
    assert [s.metric for s in found] == ["number", "anls", "anls"]
    assert reasons(folder) == {"page without a picture (render the PDF as <uid>.png)": 3}


@pytest.mark.parametrize("crop", ["", "###[10, 5, 60, 25]"])
def test_visual_cot_writes_boxes_in_the_padded_square(tmp_path, crop):
    size = (120, 60)
    square = Box(10, 5, 60, 25, size).to(square_of(size))
    decimals = [f"{v:.3f}" for v in (square.x0, square.y0, square.x1, square.y1)]
    row = {
        "dataset": "sroie", "split": "train", "question_id": 0,
        "image": ["cot/a.png", f"cot/a.png{crop}"],
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is the date? Please provide the bounding box "
             "coordinate of the region that can help you answer the question better."},
            {"from": "gpt", "value": f"[{', '.join(decimals)}]"},
            {"from": "human", "value": "<image>"}, {"from": "gpt", "value": "15/01/2019"},
        ],
    }  # fmt: skip
    folder = written(tmp_path, {"viscot.json": [row], "cot/a.png": different("a", size)})
    [sample] = read(folder)
    assert (sample.prompt, sample.answer, sample.task) == (
        "What is the date?", "15/01/2019", "viscot_sroie",
    )  # fmt: skip
    assert sample.corners[0] == pytest.approx([10, 5, 60, 25], abs=0.1)


def test_receipts_with_their_fields_and_the_text_of_every_line(tmp_path):
    line = "1,2,9,2,9,6,1,6,TAN, CHAY"
    fields = {"company": "TAN, CHAY", "date": "25/12/2018", "address": "", "total": "9.00"}
    folder = written(tmp_path, {
        "train/img/X1.png": different("1"), "train/box/X1.csv": line + "\n",
        "train/key/X1.json": fields, "test/img/X2.png": different("2"),
        "test/key/X2.json": {"total": "7"}, "train/img/X3.png": different("3"),
        "train/img/X4.png": different("4"), "train/key/X4.json": fields,
        "train/box/X4.csv": "no corners, here",
    })  # fmt: skip
    found = by_id(folder)
    assert kind(folder) == "SROIE"
    assert found.keys() == {
        "train/X1:company", "train/X1:date", "train/X1:total", "test/X2:total",
    }  # fmt: skip
    company = found["train/X1:company"]
    assert (company.metric, company.answer, company.task) == ("anls", "TAN, CHAY", "sroie_company")
    assert company.details["texts"] == [["TAN, CHAY", [1, 2, 9, 6]]]
    assert found["test/X2:total"].split == "test" and found["test/X2:total"].metric == "number"
    assert reasons(folder) == {
        "receipt without its fields": 1, "line of texts without its corners": 3,
    }  # fmt: skip


@pytest.mark.parametrize("row", [
    {"imgname": 3, "query": "?", "label": "4"}, {"imgname": "a.png", "query": [], "label": "4"},
    {"imgname": "../a.png", "query": "?", "label": "4"}, [], "text", {"imgname": "a.png"},
])  # fmt: skip
def test_a_row_of_another_form_is_set_aside(tmp_path, row):
    good = {"imgname": "a.png", "query": "Which?", "label": "4"}
    folder = written(tmp_path, {
        "train/train_human.json": [good, row], "train/png/a.png": different("a"),
    })  # fmt: skip
    assert len(read(folder)) == 1 and sum(reasons(folder).values()) == 1


def test_docvqa_and_infographics_have_several_right_answers(tmp_path):
    row = {"questionId": 337, "question": "What is the date?", "docId": 279,
           "image": "documents/a_1.png", "ucsf_document_id": "a", "ucsf_document_page_no": "1",
           "answers": ["1/8/93", "January 8"], "data_split": "val"}  # fmt: skip
    graphic = {"questionId": 1, "question": "Which?", "image_local_name": "2.jpeg",
               "image_url": "http://nowhere", "ocr_output_file": "2.json",
               "answers": ["EU"], "data_split": "train"}  # fmt: skip
    folder = written(tmp_path, {
        "val_v1.0.json": {"dataset_name": "docvqa", "dataset_split": "val", "dataset_version": "1",
                          "data": [row, row | {"questionId": 338, "answers": []}]},
        "infographicsVQA_train_v1.0.json": {"dataset_name": "infographicsVQA", "data": [graphic]},
        "documents/a_1.png": different("a"), "images/2.jpeg": different("b"),
    })  # fmt: skip
    found = by_id(folder)
    first, second = found["val_v1.0:1"], found["infographicsVQA_train_v1.0:1"]
    assert (first.task, first.metric, first.split) == ("docvqa", "anls", "dev")
    assert first.details == {"answers": ["1/8/93", "January 8"]} and first.answer == "1/8/93"
    assert (second.task, second.metric, second.split) == ("infographicvqa", "anls", "train")
    assert list(reasons(folder)) == [
        "question without an answer (those of a test set are often kept back)"
    ]


def test_textvqa_has_the_answers_of_ten_people(tmp_path):
    row = {"question": "What brand?", "image_id": "0054c91397f2fe05", "image_classes": ["Phone"],
           "flickr_original_url": "http://nowhere", "image_width": 1024, "image_height": 730,
           "answers": ["nokia"] * 8 + ["toshiba", "Nokia"], "question_tokens": ["what", "brand"],
           "question_id": 0, "set_name": "train"}  # fmt: skip
    folder = written(tmp_path, {
        "TextVQA_0.5.1_train.json": {"dataset_type": "train", "dataset_name": "textvqa",
                                     "data": [row]},
        "train_images/0054c91397f2fe05.jpg": different("a"),
    })  # fmt: skip
    [sample] = read(folder)
    assert (sample.task, sample.metric, sample.answer) == ("textvqa", "vqa", "nokia")
    assert score(sample, "Nokia!", FRAME).value == 1.0
    assert score(sample, "toshiba", FRAME).value == pytest.approx(0.3)


def test_captions_of_scalecap_keep_their_drafts(tmp_path):
    row = {"image_file": "a.png", "ori_caption": "A bar.", "final_caption": "A red bar, left."}
    folder = written(tmp_path, {"captions.json": [row], "pictures/a.png": different("a")})
    [sample] = read(folder)
    assert (sample.metric, sample.answer, sample.details) == (
        "caption", "A red bar, left.", {"draft": "A bar."},
    )  # fmt: skip


def test_mmstar_is_a_table_of_vlmevalkit_whose_question_has_its_options(tmp_path):
    picture = b64encode(different("a")).decode()
    (tmp_path / "MMStar.tsv").write_text(
        "index\tquestion\timage\tanswer\tcategory\tl2_category\tbench\n"
        f'0\t"Which?\nOptions: A: red, B: blue"\t{picture}\tB\tcoarse perception\tscene\tMMBench\n'
    )
    [sample] = read(tmp_path)
    assert kind(tmp_path) == "VLMEvalKit" and sample.task == "coarse perception"
    assert score(sample, "B", FRAME).value == 1.0 and sample.split == "test"
