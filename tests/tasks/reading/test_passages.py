"""Corpora of passages in the layouts that people have; what is none is set aside or refused."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reading.passages import PassageReader
from tasks.records.passages import Passage
from tasks.records.rows import PROSE
from tasks.running.errors import UserError

BLUE = Passage("12", "Blue triangle", "It is made in town 12.")
LAYOUTS = {
    "ours": {"id": "12", "title": BLUE.title, "text": BLUE.text},
    "BEIR": {"_id": "12", "title": BLUE.title, "text": BLUE.text, "metadata": {"url": ""}},
    "FlashRAG": {"id": "12", "contents": f'"{BLUE.title}"\n{BLUE.text}'},
    "FlashRAG without quotes": {"id": 12, "contents": f"{BLUE.title}\n{BLUE.text}"},
}


def lines(file: Path, *rows: object) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read(corpus: Path, share: float = 1.0) -> tuple[list[Passage], Counter]:
    reader = PassageReader(corpus, share)
    found = list(reader.passages())
    assert reader.kept == len(found)
    return found, Counter(one["reason"] for one in reader.aside)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_understood_as_lines_and_as_a_table(tmp_path, layout):
    row = LAYOUTS[layout]
    assert read(lines(tmp_path / "a.jsonl", row)) == ([BLUE], {})
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "b.parquet")
    assert read(tmp_path / "b.parquet") == ([BLUE], {})


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    lines(tmp_path / "b.jsonl", {"id": "2", "text": "two"})
    lines(tmp_path / "a.jsonl", {"id": "1", "text": "one"}, {"id": "3", "text": "three"})
    (tmp_path / "note.txt").write_text("nothing")
    assert [one.id for one in read(tmp_path)[0]] == ["1", "3", "2"]


def test_contents_of_one_line_have_no_title(tmp_path):
    found, _ = read(lines(tmp_path / "a.jsonl", {"id": "1", "contents": "Only a text."}))
    assert found == [Passage("1", "", "Only a text.")]


BAD = {
    "passage without an id": {"text": "tea"},
    "passage without a text": {"id": "1", "title": "tea", "text": " "},
    "duplicate id": {"id": "12", "text": "other"},
    "line is not a JSON object": ["12", "tea"],
    "id or _id is neither text nor a whole number": {"id": 1.5, "text": "tea"},
    "text or contents is neither text nor a whole number": {"id": "1", "text": ["tea"]},
    "text that is not Unicode": {"id": "1", "text": "\ud800"},
    "id of more than 20000 characters, or text of more than 1000000": {
        "id": "1", "text": "a" * (PROSE + 1)},
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_passage_is_set_aside_with_its_reason(tmp_path, reason):
    file = lines(tmp_path / "a.jsonl", LAYOUTS["ours"], BAD[reason])
    found, reasons = read(file)
    assert found == [BLUE] and list(reasons.values()) == [1]
    told = "id of more than" if reason.startswith("id of more") else reason
    assert next(iter(reasons)).startswith(told)


def test_lines_that_are_none_are_set_aside_and_empty_ones_are_nothing(tmp_path):
    file = tmp_path / "a.jsonl"
    good = json.dumps(LAYOUTS["ours"]).encode()
    file.write_bytes(b'{"id": \n\n' + good + b"\n\xff\xfe\n" + b"[" * 99_999 + b"\n")
    assert read(file) == ([BLUE], {"line is not JSON": 3})


def test_too_many_are_one_error_with_all_reasons(tmp_path):
    file = lines(tmp_path / "a.jsonl", LAYOUTS["ours"], {"text": "tea"}, {"id": "1"}, {"id": "2"})
    with pytest.raises(UserError) as refused:
        read(file, share=0.5)
    assert "3 of 4 rows" in refused.value.what
    assert "2x passage without a text; 1x passage without an id" in refused.value.why
    assert "a.jsonl:2" in refused.value.why
    assert len(read(file, share=0.75)[0]) == 1


@pytest.mark.parametrize("name", ["nothing", "empty", "wiki.jsonl.gz"])
def test_no_corpus_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wiki.jsonl.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(UserError, match="no corpus of passages"):
        PassageReader(tmp_path / name)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    lines(tmp_path / "secret.jsonl", LAYOUTS["ours"])
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(UserError):
        read(corpus)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
ROWS = st.dictionaries(st.sampled_from(["id", "_id", "title", "text", "contents"]), VALUES)


@given(st.lists(ROWS | VALUES, max_size=8))
def test_no_rows_raise_and_each_is_kept_or_set_aside(tmp_path_factory, rows):
    file = lines(tmp_path_factory.mktemp("corpus") / "a.jsonl", *rows)
    found, reasons = read(file)
    assert len(found) + reasons.total() == len(rows)
    assert all(one.id and one.text.strip() for one in found)
    assert len({one.id for one in found}) == len(found)
