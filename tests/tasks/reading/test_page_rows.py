"""Rows of a question and its page: the ColPali training set, VisRAG's and triplets."""

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading.pages import PageReader, look
from tasks.running.errors import UserError
from tests.tasks.reading.page_folders import PICTURE, PIXELS, TEXT, image, png, public, read, table

COLPALI = {
    "image": PICTURE, "image_filename": TEXT, "query": TEXT, "answer": TEXT, "source": TEXT,
    "options": TEXT, "page": TEXT, "model": TEXT, "prompt": TEXT, "answer_type": TEXT,
}  # fmt: skip


def colpali(level, name, query, source):
    row = dict.fromkeys(COLPALI, "")
    return row | {
        "image": image(level), "image_filename": name, "query": query, "source": source,
    }  # fmt: skip


def test_the_colpali_training_set_has_a_page_once_by_its_file_name_and_picture(tmp_path):
    public(tmp_path, "data/train-00000-of-00002.parquet", COLPALI, [
        colpali(1, "images/1810.10511_1.jpg", "Which line is steeper?", "arxiv_qa"),
        colpali(2, "data/scrapped_pdfs_split/a.pdf", "What was sold in May?", "pdf"),
        colpali(2, "data/scrapped_pdfs_split/a.pdf", "What was sold in June?", "pdf"),
    ])  # fmt: skip
    public(tmp_path, "data/train-00001-of-00002.parquet", COLPALI, [
        colpali(3, "data/scrapped_pdfs_split/a.pdf", "Who signed?", "pdf"),  # its next page
        colpali(2, "data/scrapped_pdfs_split/a.pdf", "How much tea?", "pdf"),
        colpali(4, None, None, "pdf"),
    ])  # fmt: skip
    public(tmp_path, "data/test-00000-of-00001.parquet", COLPALI, [
        colpali(5, "documents/ffbf0023_4.png", "Whose letter is it?", "docvqa"),
    ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    pdf = "train/data/scrapped_pdfs_split/a.pdf"
    assert list(pages) == [
        "test/documents/ffbf0023_4.png", "train/images/1810.10511_1.jpg", pdf, f"{pdf} (row 3)",
        "train/5",
    ]  # fmt: skip
    assert pages[f"{pdf} (row 3)"].image == png(3) and not aside
    assert [(q.set, q.split, q.best) for q in questions] == [
        ("docvqa", "test", "test/documents/ffbf0023_4.png"),
        ("arxiv_qa", "train", "train/images/1810.10511_1.jpg"),
        ("pdf", "train", pdf), ("pdf", "train", pdf), ("pdf", "train", f"{pdf} (row 3)"),
        ("pdf", "train", pdf),
    ]  # fmt: skip
    assert look(tmp_path).layout == "ViDoRe 1 or the ColPali training set"


def test_visrags_training_sets_have_no_names_and_a_page_once_by_its_picture(tmp_path):
    features = {"query": TEXT, "image": PICTURE, "source": TEXT}
    public(tmp_path, "data/train-00000-of-00001.parquet", features, [
        {"query": "a?", "image": image(1), "source": "ChartQA"},
        {"query": "b?", "image": image(2), "source": "PlotQA"},
        {"query": "c?", "image": image(1), "source": "ChartQA"},
    ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    assert list(pages) == ["train/0", "train/1"] and not aside
    assert [q.best for q in questions] == ["train/0", "train/1", "train/0"]
    assert [q.set for q in questions] == ["ChartQA", "PlotQA", "ChartQA"]


def test_triplets_of_sentence_transformers_have_negatives_that_are_pages(tmp_path):
    features = {"query": TEXT, "image": PICTURE} | {f"negative_{n}": PICTURE for n in range(3)}
    for split, base in {"train": 0, "eval": 10}.items():  # `eval` is called `train` in its file
        public(tmp_path, f"{split}/train-00000-of-00001.parquet", features, [
            {"query": "a?", "image": image(base), "negative_0": image(base + 1),
             "negative_1": image(base + 2), "negative_2": None},
            {"query": "b?", "image": image(base + 1), "negative_0": image(base),
             "negative_1": image(base + 3), "negative_2": image(base + 1)},
        ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    assert len(pages) == 8 and not aside
    assert [q.split for q in questions] == ["dev", "dev", "train", "train"]
    first, second = (
        ({pages[p].image for p in q.relevant}, {pages[p].image for p in q.details["negatives"]})
        for q in questions[2:]
    )
    assert first == ({png(0)}, {png(1), png(2)})
    assert second == ({png(1)}, {png(0), png(3)})  # and not the page that answers
    assert look(tmp_path).layout == "triplets"


@pytest.mark.parametrize(("row", "negatives"), [
    ({"positive": image(1), "negative": image(2)}, {2}),
    ({"image": image(1), "neg_image": image(2)}, {2}),
    ({"positive": image(1), "negatives": [image(2), image(3)]}, {2, 3}),
    ({"image": image(1), "negatives": [image(2)], "negative_7": image(3)}, {2, 3}),
])  # fmt: skip
def test_triplets_are_told_by_their_columns(tmp_path, row, negatives):
    table(tmp_path, "train.parquet", [{"query": "a?"} | row])
    pages, (question,), aside = read(tmp_path)
    assert [pages[page].image for page in question.relevant] == [png(1)] and not aside
    assert {pages[p].image for p in question.details["negatives"]} == {png(n) for n in negatives}


def test_negatives_that_are_named_are_the_rows_of_their_id(tmp_path):
    features = {
        "id": TEXT, "query": TEXT, "image": PICTURE, "negatives": [TEXT], "language": TEXT,
    }  # fmt: skip
    public(tmp_path, "en/train-00000-of-00001.parquet", features, [
        {"id": "b7", "query": "b?", "image": image(1), "negatives": ["c3", "b7"], "language": "en"},
        {"id": "c3", "query": None, "image": image(2), "negatives": None, "language": "en"},
        {"id": "a1", "query": "a?", "image": image(3), "negatives": ["zz", "c3"], "language": "en"},
    ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    assert list(pages) == ["en/train/b7", "en/train/c3", "en/train/a1"]
    assert [q.details["negatives"] for q in questions] == [["en/train/c3"], ["en/train/c3"]]
    assert aside == {"a negative that is not there": 1}


def test_rows_that_cannot_be_used_are_set_aside_and_the_others_are_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere.png").write_bytes(png(8))
    rows = [
        {"query": "a?", "image": image(1), "negative": image(2)},
        {"query": " ", "image": image(3), "negative": None},
        {"query": "word " * 1001, "image": image(3), "negative": None},
        {"query": "b?", "image": {"bytes": png(4)[:50], "path": None}, "negative": image(5)},
        {"query": "c?", "image": {"bytes": None, "path": "../elsewhere.png"}, "negative": None},
        {"query": "d?", "image": {"bytes": None, "path": "gone.png"}, "negative": None},
        {"query": "e?", "image": None, "negative": image(6)},
        {"query": "f?", "image": image(7), "negative": {"bytes": b"no picture", "path": None}},
    ]
    table(tmp_path / "data", "train.parquet", rows)
    pages, questions, aside = read(tmp_path / "data")
    assert [q.text for q in questions] == ["a?", "f?"] and len(pages) == 6
    assert questions[1].details["negatives"] == []
    assert aside == {
        "unreadable picture": 2, "empty question": 1, "question of more than 1000 words": 1,
        "picture path leaves the data folder": 1, "picture file is missing": 1,
        "picture is neither a path nor bytes": 1, "question that no page answers": 4,
        "a page that is not there answers it": 1, "a negative that is not there": 1,
    }  # fmt: skip


def test_a_part_of_a_set_that_is_damaged_is_not_passed_over(tmp_path):
    for n in (0, 2):
        table(
            tmp_path, f"data/train-0000{n}-of-00004.parquet", [{"query": "a?", "image": image(n)}]
        )
    whole = (tmp_path / "data" / "train-00000-of-00004.parquet").read_bytes()
    for n in (1, 3):
        (tmp_path / "data" / f"train-0000{n}-of-00004.parquet").write_bytes(whole[:-20])
    (tmp_path / "else.parquet").write_bytes(b"nobody's")
    with pytest.raises(UserError) as told:
        PageReader(tmp_path, PIXELS, 9)
    first, second = "train-00001-of-00004.parquet", "train-00003-of-00004.parquet"
    assert f"{first} cannot be read, nor can {second}" in str(told.value)
    assert "else.parquet" not in str(told.value)


ROWS = st.lists(
    st.fixed_dictionaries({
        "query": st.none() | st.sampled_from(["a?", "b?"]), "image": st.integers(0, 3),
        "image_filename": st.none() | st.sampled_from(["x", "y"]),
        "negative": st.none() | st.integers(0, 3),
    }),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=25)
@given(ROWS)
def test_every_question_has_the_picture_of_its_row_whatever_pages_are_called(
    tmp_path_factory, rows
):
    folder = tmp_path_factory.mktemp("rows")
    stored = [
        row | {name: None if row[name] is None else image(row[name])
               for name in ("image", "negative")}
        for row in rows
    ]  # fmt: skip
    table(folder, "test.parquet", stored)
    pages, questions, aside = read(folder)
    asked = [row for row in rows if row["query"] is not None]
    assert len(questions) == len(asked) and set(aside) <= {"the same picture as another page"}
    for question, row in zip(questions, asked, strict=True):
        assert [pages[page].image for page in question.relevant] == [png(row["image"])]
        others = {row["negative"]} - {None, row["image"]}
        named = question.details.get("negatives", [])
        assert [pages[page].image for page in named] == [png(level) for level in others]
    shown = chain.from_iterable((row["image"], row["negative"]) for row in rows)
    assert sorted(page.image for page in pages.values()) == sorted(
        png(level) for level in {*shown} - {None}
    )


ODD = st.none() | st.booleans() | st.integers(-9, 2**60) | st.floats() | st.text(max_size=9)
VALUES = ODD | st.binary(max_size=9) | st.lists(st.text(max_size=3), max_size=3)


@settings(max_examples=60)
@given(st.data())
def test_any_row_is_read_or_set_aside_with_a_reason(tmp_path_factory, data):
    """Columns may hold anything: nothing is raised, and no question is lost without a word."""
    folder = tmp_path_factory.mktemp("odd")
    columns = ("id", "query", "image", "image_filename", "source", "negatives", "negative_1")
    row = {name: data.draw(VALUES, label=name) for name in columns}
    table(folder, "train.parquet", [row, row])
    reader = PageReader(folder, PIXELS, 9)
    pages, questions = list(reader.pages()), list(reader.questions())
    assert not pages and not questions  # none of these is a picture
    assert reader.lost and all(0 < len(one["reason"]) < 120 for one in reader.aside)
    asked = [one for one in reader.aside if one["id"].startswith("question train/")]
    assert len(asked) >= (0 if row["query"] is None else 2)
