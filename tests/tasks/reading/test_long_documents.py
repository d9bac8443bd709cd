"""MMLongBench-Doc: PDFs, questions about them and the pages that answer."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading.long_documents import LongDocuments, long_documents_in
from tasks.reading.pages import look
from tasks.running.errors import UserError
from tests.tasks.reading.page_folders import PIXELS, TEXT, pdf, png, public, read

COLUMNS = dict.fromkeys(
    ("doc_id", "doc_type", "question", "answer", "evidence_pages", "evidence_sources",
     "answer_format"), TEXT,
)  # fmt: skip


def sample(doc_id="report.pdf", question="Who voted?", pages="[1]", answer="18.29%"):
    return {
        "doc_id": doc_id, "doc_type": "Research report / Introduction", "question": question,
        "answer": answer, "evidence_pages": pages, "evidence_sources": "['Chart', 'Pure-text']",
        "answer_format": "Float",
    }  # fmt: skip


SAMPLES = [
    sample(pages="[3, 2]"), sample("PH_2016.06.08_Economy-Final.pdf", "How many?", "[1]", "7"),
    sample(question="Which colour?", pages="[]", answer="Not answerable"),
    sample(question="Which flag?", pages="[2]", answer="Not answerable"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """The folder of two documents, one of three pages and one of one page."""
    (tmp_path / "documents").mkdir()
    report = pdf((200, 300), (300, 200), (240, 260))
    (tmp_path / "documents" / "report.pdf").write_bytes(report)
    (tmp_path / "documents" / "PH_2016.06.08_Economy-Final.pdf").write_bytes(pdf((260, 240)))
    return tmp_path


@pytest.mark.parametrize("layout", ["samples.json", "data/train-00000-of-00001.parquet", "both"])
def test_both_public_forms_say_the_same_alone_and_together(folder, layout):
    if layout != "samples.json":
        public(folder, "data/train-00000-of-00001.parquet", COLUMNS, SAMPLES)
    if layout != "data/train-00000-of-00001.parquet":
        (folder / "samples.json").write_text(json.dumps(SAMPLES))
    pages, questions, aside = read(folder)
    report, other = "documents/report.pdf", "documents/PH_2016.06.08_Economy-Final.pdf"
    assert list(pages) == [f"{other}#1", *(f"{report}#{n}" for n in (1, 2, 3))]
    assert [(page.document, page.number) for page in pages.values()][-1] == (report, 3)
    assert [(q.relevant, q.set, q.split, q.details) for q in questions] == [
        ({f"{report}#3": 1, f"{report}#2": 1}, "MMLongBench-Doc", "test", {"document": report}),
        ({f"{other}#1": 1}, "MMLongBench-Doc", "test", {"document": other}),
    ]  # fmt: skip
    again = {"the same question about the same document": 4} if layout == "both" else {}
    assert aside == {"question that no page answers": 2} | again
    assert look(folder).layout == "MMLongBench-Doc"


def test_what_cannot_be_used_is_set_aside_all_of_it_at_once(folder):
    (folder / "documents" / "broken.pdf").write_bytes(b"%PDF-1.7")
    (folder / "more").mkdir()
    (folder / "more" / "twice.pdf").write_bytes(pdf((100, 300)))
    (folder / "documents" / "twice.pdf").write_bytes(pdf((300, 100)))
    (folder / "documents" / "cover.png").write_bytes(png(1))  # no page of a document
    rows = [
        *SAMPLES, sample("gone.pdf"), sample("gone.pdf", "Whose?"), sample("broken.pdf"),
        sample("twice.pdf"), sample(question="Beyond?", pages="[4]"),
        sample(question="Half?", pages="[9, 1]"), sample(question="", pages="[1]"),
        sample(question="Zero?", pages="[0]"), sample(question="None?", pages="None"),
        sample(question="Share?", pages="[1.5]"), sample(None), "no question", SAMPLES[0],
    ]  # fmt: skip
    (folder / "samples.json").write_text(json.dumps(rows))
    pages, questions, aside = read(folder)
    assert len(pages) == 6 and [q.text for q in questions] == ["Who voted?", "How many?", "Half?"]
    assert questions[2].relevant == {"documents/report.pdf#1": 1}
    assert aside == {
        "PDF that cannot be read": 1, "PDF file is missing": 1 + 2,  # the file, and its questions
        "several PDF files have this name": 1, "a page that is not there answers it": 3,
        "question that no page answers": 4, "empty question": 1,
        "evidence_pages is no list of page numbers": 3, "question about no document": 1,
        "entry is not a question": 1, "the same question about the same document": 1,
    }  # fmt: skip


def test_pdfs_beside_another_samples_json_are_a_folder_of_pdfs(folder):
    (folder / "samples.json").write_text('[{"name": "no question"}]')
    assert long_documents_in(folder, PIXELS, 9) is None and len(read(folder)[0]) == 4
    (folder / "samples.json").write_text('[{"doc_id": "report.pdf", ')
    with pytest.raises(UserError, match="samples.json is not JSON"):
        long_documents_in(folder, PIXELS, 9)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below),
    max_leaves=4,
)
EVIDENCE = st.lists(st.integers(1, 500), max_size=5)


@settings(max_examples=150)
@given(
    document=st.sampled_from(["report.pdf", "gone.pdf"]) | JSON, question=st.text() | JSON,
    pages=EVIDENCE.map(str) | EVIDENCE | JSON | JSON.map(json.dumps), answer=st.text() | JSON,
)  # fmt: skip
def test_any_entry_is_a_question_or_is_set_aside(
    tmp_path_factory, document, question, pages, answer
):
    folder = tmp_path_factory.mktemp("long")
    (folder / "report.pdf").write_bytes(b"")  # which of its pages there are is not looked at here
    entry = sample(document, question, pages, answer)
    (folder / "samples.json").write_text(json.dumps([sample(), entry]))
    found = long_documents_in(folder, PIXELS, 9)
    aside: list[str] = []
    assert isinstance(found, LongDocuments)
    questions = list(found.questions(lambda _name, why: aside.append(why)))
    assert len(questions) + len(aside) == 2 and all(0 < len(why) < 120 for why in aside)
    if len(questions) == 2 and answer != "Not answerable":
        numbers = json.loads(pages) if isinstance(pages, str) else pages
        assert list(questions[1].relevant) == [f"report.pdf#{n}" for n in dict.fromkeys(numbers)]
