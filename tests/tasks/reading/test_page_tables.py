"""Tables of pages, questions and judgements: VisRAG's public form, and what is missing of it."""

import json

import pytest
from datasets import Value
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.reading.pages import PageReader, look
from tasks.running.errors import UserError
from tests.tasks.reading.page_folders import PICTURE, PIXELS, TEXT, image, png, public, read, table

CORPUS = {"corpus-id": TEXT, "image": PICTURE}
QUERIES = {"query-id": TEXT, "query": TEXT, "answer": TEXT, "options": [TEXT]}
QRELS = {"query-id": TEXT, "corpus-id": TEXT, "score": Value("int64")}
FILE = "train-00000-of-00001.parquet"  # of every part, as uploaded


def visrag(folder, start=0, columns=tuple(QUERIES)):
    """Write a test set with two pages, the second of which answers two questions."""
    public(folder, f"corpus/{FILE}", CORPUS, [
        {"corpus-id": "10095.png", "image": image(start)},
        {"corpus-id": "41699023.png", "image": image(start + 1)},
    ])  # fmt: skip
    public(folder, f"queries/{FILE}", {name: QUERIES[name] for name in columns}, [
        {"query-id": f"41699023.png-{n}", "query": f"{start} How many, {n}?", "answer": "3",
         "options": []}
        for n in range(3)
    ])  # fmt: skip
    public(folder, f"qrels/{FILE}", QRELS, [
        {"query-id": "41699023.png-0", "corpus-id": "41699023.png", "score": 1},
        {"query-id": "41699023.png-1", "corpus-id": "41699023.png", "score": 1},
        {"query-id": "41699023.png-2", "corpus-id": "10095.png", "score": 1},
    ])  # fmt: skip
    (folder / "qrels" / "chartqa-eval-qrels.tsv").write_text("beside the Parquet\n")


def test_visrags_test_sets_called_train_are_read_as_test_sets_each_with_its_own_pages(tmp_path):
    visrag(tmp_path / "VisRAG-Ret-Test-ChartQA", columns=("query-id", "query"))
    visrag(tmp_path / "slides", start=10)  # not so called any more: told by its answers
    pages, questions, aside = read(tmp_path)
    assert list(pages) == [
        "VisRAG-Ret-Test-ChartQA/test/10095.png", "VisRAG-Ret-Test-ChartQA/test/41699023.png",
        "slides/test/10095.png", "slides/test/41699023.png",
    ] and not aside  # fmt: skip
    assert [(q.id, q.set, q.split) for q in questions[2:4]] == [
        ("VisRAG-Ret-Test-ChartQA/test/41699023.png-2", "VisRAG-Ret-Test-ChartQA", "test"),
        ("slides/test/41699023.png-0", "slides", "test"),
    ]
    assert questions[2].relevant == {"VisRAG-Ret-Test-ChartQA/test/10095.png": 1}
    assert questions[3].relevant == {"slides/test/41699023.png": 1}
    assert look(tmp_path).layout == "VisRAG"


@pytest.mark.parametrize("other", ["dev", "test"])
def test_a_set_that_has_another_split_trains_on_its_training_split(tmp_path, other):
    for n, split in enumerate(("train", other)):
        public(tmp_path, f"corpus/{split}.parquet", CORPUS, [
            {"corpus-id": "a", "image": image(n)}
        ])  # fmt: skip
        public(tmp_path, f"queries/{split}.parquet", QUERIES, [
            {"query-id": "1", "query": "Who?", "answer": "I", "options": []}
        ])  # fmt: skip
        public(tmp_path, f"qrels/{split}.parquet", QRELS, [
            {"query-id": "1", "corpus-id": "a", "score": 1}
        ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    assert {q.split: q.relevant for q in questions} == {
        "train": {"train/a": 1}, other: {f"{other}/a": 1}
    }  # fmt: skip
    assert len(pages) == 2 and not aside
    assert look(tmp_path).layout == "ViDoRe 2 or 3"


def test_rows_that_cannot_be_used_are_set_aside_and_the_others_are_read(tmp_path):
    visrag(tmp_path)
    broken = {"bytes": png(9)[:50], "path": "x.png"}
    public(tmp_path, "corpus/train-00001-of-00002.parquet", CORPUS, [
        {"corpus-id": "10095.png", "image": image(7)}, {"corpus-id": "x.png", "image": broken},
        {"corpus-id": "none.png", "image": None},
    ])  # fmt: skip
    public(tmp_path, "queries/train-00001-of-00002.parquet", QUERIES, [
        {"query-id": None, "query": "Whose?", "answer": "", "options": []},
        {"query-id": "broken", "query": "Which?", "answer": "", "options": []},
        {"query-id": "41699023.png-0", "query": "Again?", "answer": "", "options": []},
    ])  # fmt: skip
    public(tmp_path, "qrels/train-00001-of-00002.parquet", QRELS, [
        {"query-id": "broken", "corpus-id": "x.png", "score": 1},
        {"query-id": "41699023.png-0", "corpus-id": "10095.png", "score": -1},
        {"query-id": "41699023.png-1", "corpus-id": "41699023.png", "score": 2},
    ])  # fmt: skip
    pages, questions, aside = read(tmp_path)
    assert len(pages) == 2 and len(questions) == 3
    assert aside.pop("a page that is not there answers it") == 1  # of the broken picture
    assert aside == {
        "page of a name that is there already": 1, "unreadable picture": 1,
        "picture is neither a path nor bytes": 1, "query without an id": 1, "duplicate id": 1,
        "question that no page answers": 1, "judgements of a page contradict each other": 1,
        "judgement without a question, a page or a grade": 1,
    }  # fmt: skip


def test_all_that_is_missing_or_damaged_is_said_at_once(tmp_path):
    public(tmp_path, f"a/queries/{FILE}", QUERIES, [])
    public(tmp_path, f"b/qrels/{FILE}", QRELS, [])
    public(tmp_path, f"b/corpus/{FILE}", CORPUS, [])
    with pytest.raises(UserError) as told:
        PageReader(tmp_path, PIXELS, 9)
    message = str(told.value)
    assert "a/train has queries and no corpus, qrels" in message
    assert "b/train has corpus, qrels and no queries" in message
    for place in "ab":
        (tmp_path / place / "qrels").mkdir(exist_ok=True)
        (tmp_path / place / "qrels" / f"{place}.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="a.parquet cannot be read, nor can b.parquet"):
        PageReader(tmp_path, PIXELS, 9)


NAMES = st.text("ab1-_. ", min_size=1, max_size=4)
SETS = st.dictionaries(  # grades of pages, by question
    NAMES, st.dictionaries(st.integers(0, 5), st.integers(1, 3), min_size=1), max_size=4
)


@settings(max_examples=15)
@given(
    pages=st.lists(NAMES, min_size=6, max_size=6, unique=True),
    judged=SETS,
    mark=st.sampled_from("-_"),
)
def test_tables_and_a_folder_of_pictures_say_the_same(tmp_path_factory, pages, judged, mark):
    """By the bytes of the pictures, as the two name them differently."""
    folder, tables = tmp_path_factory.mktemp("folder"), tmp_path_factory.mktemp("tables")
    for level in range(len(pages)):
        (folder / f"{level}.png").write_bytes(png(level))
    lines = [{"text": text, "relevant": {f"{p}.png": g for p, g in grades.items()}}
             for text, grades in judged.items()]  # fmt: skip
    (folder / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table(tables, "corpus.parquet", [
        {f"corpus{mark}id": name, "image": image(level)} for level, name in enumerate(pages)
    ])  # fmt: skip
    table(tables, "queries.parquet", [{f"query{mark}id": q, "query": q} for q in judged] or [
        {f"query{mark}id": "nobody's", "query": "?"}
    ])  # fmt: skip
    table(tables, "qrels.parquet", [
        {f"query{mark}id": q, f"corpus{mark}id": pages[p], "score": g}
        for q, grades in judged.items() for p, g in grades.items()
    ] or [{f"query{mark}id": "gone", f"corpus{mark}id": "gone", "score": 1}])  # fmt: skip

    def told(place):
        found, questions, _ = read(place)
        return [
            (q.text, {found[page].image: grade for page, grade in q.relevant.items()})
            for q in questions
        ]

    assert told(folder) == told(tables)
    assert len(told(folder)) == sum(bool(text.strip()) for text in judged)
