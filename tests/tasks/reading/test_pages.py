"""Pages of PDFs, pictures and public tables; what cannot be used is set aside with its reason."""

import json
import os

import pytest

from tasks.reading.pages import PageReader, look
from tasks.records.images import open_image
from tasks.records.pages import (
    Page,
    Question,
    read_pages,
    read_questions,
    write_pages,
    write_questions,
)
from tasks.running.errors import UserError
from tasks.world.pages import SETS, belongs, draw_sets, write_page_world
from tests.tasks.reading.page_folders import PIXELS, image, pdf, png, read, table


def test_pdfs_and_pictures_become_pages_of_one_size(tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "a.pdf").write_bytes(pdf((200, 300), (300, 200), (20_000, 30_000)))
    (tmp_path / "scans" / "1.png").write_bytes(png(9))
    (tmp_path / "note.txt").write_text("no page")
    pages, questions, aside = read(tmp_path)
    assert list(pages) == ["a.pdf#1", "a.pdf#2", "scans/1.png"] and not questions
    # the third page is as blank as the first, however large it is
    assert aside == {"the same picture as another page": 1}
    sizes = [open_image(pages[f"a.pdf#{n}"].image).size for n in (1, 2)]
    assert all(abs(w * h / PIXELS - 1) < 0.02 for w, h in sizes)
    assert sizes[0] == sizes[1][::-1] and pages["a.pdf#2"].number == 2


@pytest.mark.parametrize(("data", "reason"), [
    (b"%PDF-1.7 and then nothing", "PDF that cannot be read"),
    (b"", "PDF that cannot be read"),
    (pdf(*[(9, 9)] * 51), "PDF of more than 50 pages"),
    (pdf((1, 5000)), "PDF page that is too narrow"),
])  # fmt: skip
def test_a_pdf_that_cannot_be_used_is_set_aside_and_the_others_are_read(tmp_path, data, reason):
    (tmp_path / "bad.pdf").write_bytes(data)
    (tmp_path / "good.pdf").write_bytes(pdf((10, 10)))
    pages, _, aside = read(tmp_path)
    assert list(pages) == ["good.pdf#1"] and aside == {reason: 1}


def test_what_leads_out_of_the_folder_or_is_no_picture_is_set_aside(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png(1))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "broken.png").write_bytes(png(2)[:60])
    (folder / "ok.png").write_bytes(png(3))
    (folder / "again.png").write_bytes(png(3))
    pages, _, aside = read(folder)
    assert list(pages) == ["again.png"] and len(aside) == 3
    assert aside["the same picture as another page"] == 1


def test_questions_of_a_folder_are_checked_one_by_one(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(png(n))
    lines = [
        {"text": "one", "relevant": ["0.png"]}, {"text": "graded", "relevant": {"1.png": 2}},
        {"text": "", "relevant": ["0.png"]}, {"text": "gone", "relevant": ["9.png"]},
        {"text": "word " * 1001, "relevant": ["0.png"]}, {"text": "none"}, {"no": "text"},
        {"text": "wrong", "relevant": {"0.png": 0}},
        {"text": "half", "relevant": ["9.png", "2.png"]},
        {"text": "odd", "relevant": ["0.png"], "split": "later"},
        {"text": "taught", "relevant": ["0.png"], "split": "train",
         "negatives": ["1.png", "0.png"]},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines) + "no json\n"
    (tmp_path / "questions.jsonl").write_text(text)
    _, questions, aside = read(tmp_path)
    assert [q.text for q in questions] == ["one", "graded", "half", "taught"]
    assert questions[1].relevant == {"1.png": 2} and questions[2].relevant == {"2.png": 1}
    assert questions[3].split == "train" and questions[3].details["negatives"] == ["1.png"]
    assert aside == {
        "empty question": 1, "a page that is not there answers it": 2,
        "question that no page answers": 2, "question of more than 1000 words": 1,
        "line has no text": 1, "relevant is neither a list of pages nor a grade for each": 1,
        "split is none of train, dev, test": 1, "line is not JSON": 1,
    }  # fmt: skip


def test_vidore_1_has_a_page_once_by_its_file_name(tmp_path):
    table(tmp_path, "data/test-00000-of-00001.parquet", [
        {"query": "a?", "image": image(1), "image_filename": "p1.png", "answer": "x"},
        {"query": "b?", "image": image(1), "image_filename": "p1.png", "answer": "y"},
        {"query": None, "image": image(2), "image_filename": "p2.png", "answer": None},
    ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    assert list(pages) == ["test/p1.png", "test/p2.png"] and not aside
    assert [(q.text, q.relevant, q.split) for q in questions] == [
        ("a?", {"test/p1.png": 1}, "test"), ("b?", {"test/p1.png": 1}, "test"),
    ]  # fmt: skip


@pytest.mark.parametrize("mark", ["-", "_"])
def test_vidore_2_and_3_have_pages_questions_and_grades(tmp_path, mark):
    query, page = f"query{mark}id", f"corpus{mark}id"
    table(tmp_path, "corpus/test-00000.parquet", [
        {page: n, "image": image(n), f"doc{mark}id": "report"} for n in range(4)
    ])  # fmt: skip
    table(tmp_path, "queries/test-00000.parquet", [
        {query: n, "query": f"question {n}", "language": "english"} for n in range(3)
    ])  # fmt: skip
    table(tmp_path, "qrels/test-00000.parquet", [
        {query: 0, page: 2, "score": 1.0, "bounding_boxes": [{"x1": 5, "y1": 6, "x2": 3, "y2": 4}]},
        {query: 0, page: 1, "score": 2.0, "bounding_boxes": [{"x1": 1, "y1": 2, "x2": 9, "y2": 8}]},
        {query: 1, page: 3, "score": 1.0, "bounding_boxes": None},
        {query: 1, page: 3, "score": 2.0, "bounding_boxes": None},
        {query: 1, page: 99, "score": 1.0, "bounding_boxes": None},
        {query: 2, page: 1, "score": 1e9, "bounding_boxes": None},
    ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    assert len(pages) == 4 and pages["test/0"].document == "test/report"
    assert [q.relevant for q in questions] == [{"test/1": 2, "test/2": 1}, {"test/3": 1}]
    assert questions[0].details["boxes"] == {"test/1": [[1, 2, 9, 8]], "test/2": [[3, 4, 5, 6]]}
    assert questions[0].best == "test/1"
    assert aside == {
        "judgements of a page contradict each other": 1,
        "a page that is not there answers it": 1, "question that no page answers": 1,
        "judgement without a question, a page or a grade": 1,
    }  # fmt: skip


def test_public_sets_of_all_forms_are_read_side_by_side(tmp_path):
    table(tmp_path, "DocVQA/data/test.parquet", [
        {"query": "a?", "image": image(1), "image_filename": "1.png"}
    ])  # fmt: skip
    for name, rows in {
        "corpus": {"corpus-id": "1.png", "image": image(2)},
        "queries": {"query-id": "1", "query": "b?", "answer": "2"},
        "qrels": {"query-id": "1", "corpus-id": "1.png", "score": 1},
    }.items():
        table(tmp_path, f"ChartQA/{name}/train.parquet", [rows])
    (tmp_path / "MMLongBench-Doc").mkdir()
    (tmp_path / "MMLongBench-Doc" / "1.pdf").write_bytes(pdf((9, 9)))
    sample = {"doc_id": "1.pdf", "question": "c?", "answer": "3", "evidence_pages": "[1]"}
    (tmp_path / "MMLongBench-Doc" / "samples.json").write_text(json.dumps([sample]))
    (tmp_path / "cover.png").write_bytes(png(9))  # beside public sets, and nobody's
    pages, questions, aside = read(tmp_path)
    assert list(pages) == ["MMLongBench-Doc/1.pdf#1", "ChartQA/test/1.png", "DocVQA/test/1.png"]
    assert not aside and {q.set: (q.text, q.best, q.split) for q in questions} == {
        "MMLongBench-Doc": ("c?", "MMLongBench-Doc/1.pdf#1", "test"),
        "ChartQA": ("b?", "ChartQA/test/1.png", "test"),
        "DocVQA": ("a?", "DocVQA/test/1.png", "test"),
    }
    assert look(tmp_path).layout == (
        "MMLongBench-Doc and VisRAG and ViDoRe 1 or the ColPali training set"
    )


def test_names_and_texts_that_no_table_can_hold_are_set_aside(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:
        file.write(png(2))
    lines = [{"text": "x \ud83d", "relevant": ["a.png"]}, {"text": "y", "relevant": ["a.png"]}]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    pages, questions, aside = read(tmp_path)
    assert list(pages) == ["a.png"] and [q.text for q in questions] == ["y"]
    assert aside == {"name that is not Unicode": 1, "text that is not Unicode": 1}
    reader = PageReader(tmp_path, PIXELS, 9)
    write_pages(reader.pages(), tmp_path / "out")
    assert all(one["id"].encode() for one in reader.aside) and reader.lost == 1


def test_a_file_that_is_no_table_beside_pages_is_nobodys_and_a_damaged_one_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "x.parquet").write_bytes(b"PAR1nonsense")
    assert list(read(tmp_path)[0]) == ["a.png"]
    for part in ("corpus", "queries", "qrels"):
        (tmp_path / f"{part}.parquet").write_bytes(b"PAR1nonsense")
    with pytest.raises(UserError, match="corpus.parquet cannot be read"):
        read(tmp_path)


def test_the_micro_worlds_pages_are_read_and_exactly_one_answers_each_question(tmp_path):
    sizes = {"train": 3, "dev": 2, "test": 4}
    number = write_page_world(tmp_path, 0, sizes, near=2)
    pages, questions, aside = read(tmp_path)
    assert len(pages) + sum(aside.values()) == number and set(aside) <= {
        "the same picture as another page"
    }
    assert all(len(q.relevant) == 1 for q in questions)
    assert {q.set for q in questions} == set(SETS)
    # over the pages of all splits, as an index holds them all
    drawn = {f"{one.split}/{one.id}": one for one in draw_sets(0, sizes, near=2)}
    assert set(pages) <= drawn.keys()
    for question in questions:
        facts = {fact.words for fact in drawn[question.best].facts}
        assert [page for page in pages if facts <= drawn[page].page.words] == [question.best]
    for one in drawn.values():
        assert belongs(one.page, one.split)
        for other in (drawn[n] for name in one.family if (n := f"{one.split}/{name}") in drawn):
            assert one.facts[0].words not in other.page.words  # the near miss lacks it
            kept = [a == b for a, b in zip(one.page.parts, other.page.parts, strict=True)]
            assert kept.count(False) == 1 and not kept[one.facts[0].part]
    taught = [q for q in questions if q.split == "train"]
    assert taught and any(len(q.details["negatives"]) == 2 for q in taught)
    for question in questions:  # the true box lies on the page
        for x0, y0, x1, y1 in question.details["boxes"][question.best]:
            assert 0 <= x0 < x1 <= 257 and 0 <= y0 < y1 <= 289


def test_pages_and_questions_travel_as_parquet(tmp_path):
    pages = [Page(f"a#{n}", "a", n, png(n), {"x": n}) for n in range(3)]
    questions = [Question("1", "May?", {"a#1": 2}, "s", "dev", {"boxes": [[1, 2, 3, 4]]})]
    assert write_pages(iter(pages), tmp_path / "p") == 3
    assert write_questions(questions, tmp_path / "q") == 1
    assert list(read_pages(tmp_path / "p")) == pages
    assert read_questions(tmp_path / "q") == questions
