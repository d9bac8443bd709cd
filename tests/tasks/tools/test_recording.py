"""A recording loses nothing to a kill, and all who ask are told the same."""

import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tools.fetching import Request
from tasks.tools.recording import Recorded, Recording


def asked(query: str) -> Request:
    return Request("GET", "http://a/", {"q": query})


TEA, MAY = Recorded({"results": ["tea"]}), Recorded({"results": ["May"]})
LOST = Recorded({}, "the server answers 500")


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "there" / "searches.jsonl"


ANSWERS = st.dictionaries(
    st.text(max_size=5), st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=3)
)


@given(st.lists(st.tuples(st.text(max_size=4), ANSWERS), max_size=8))
def test_what_is_recorded_is_had_again_here_and_by_others(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("recorded") / "searches.jsonl"
    recording, first = Recording(file), {}
    for query, answer in rows:
        recording.add(asked(query), Recorded(answer))
        first.setdefault(query, Recorded(answer))
    for one in (recording, Recording(file)):
        assert {query: one.get(asked(query)) for query in first} == first
        assert len(one) == len(first) and one.get(asked("never asked")) is None


def test_an_answer_takes_the_place_of_a_failure_and_never_the_other_way(file):
    recording = Recording(file)
    assert recording.add(asked("a"), LOST) == LOST == recording.get(asked("a"))
    recording.add(asked("a"), TEA)
    recording.add(asked("a"), LOST, renew=True)
    assert recording.get(asked("a")) == TEA == Recording(file).get(asked("a"))


def test_who_comes_second_is_told_what_the_first_was_unless_it_is_asked_anew(file):
    one, other = Recording(file), Recording(file)
    one.add(asked("a"), TEA)
    assert other.add(asked("a"), MAY) == TEA == other.get(asked("a"))
    assert other.add(asked("a"), MAY, renew=True) == MAY
    assert Recording(file).get(asked("a")) == MAY


def test_a_line_that_a_kill_cut_is_left_out_and_the_next_one_is_whole(file):
    recording = Recording(file)
    for n, query in enumerate("abc"):
        recording.add(asked(query), Recorded({"n": n}))
    whole = file.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(1, last):
        file.write_bytes(whole[:-cut])
        again = Recording(file)
        assert len(again) == 2
        again.add(asked("d"), TEA)
        found = Recording(file)
        assert found.get(asked("a")) == Recorded({"n": 0}) and found.get(asked("d")) == TEA
        if cut > 1:  # without its end alone, a line is whole as soon as another one follows
            assert found.get(asked("c")) is None


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\xff\xfe", b"null", b"[" * 99_999])
def test_lines_of_others_are_left_out(file, line):
    Recording(file).add(asked("a"), TEA)
    with file.open("ab") as opened:
        opened.write(line + b"\n")
    Recording(file).add(asked("b"), MAY)
    found = Recording(file)
    assert (found.get(asked("a")), found.get(asked("b"))) == (TEA, MAY)


def test_it_can_be_read_where_nothing_can_be_written(file):
    Recording(file).add(asked("a"), TEA)
    before = file.stat()
    file.chmod(0o400)
    file.parent.chmod(0o500)
    assert Recording(file).get(asked("a")) == TEA
    assert Recording(file).get(asked("b")) is None
    file.parent.chmod(0o700)
    assert [one.name for one in file.parent.iterdir()] == [file.name]
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_a_line_says_what_was_asked_and_when(file):
    Recording(file).add(asked("tea"), TEA)
    row = json.loads(file.read_text())
    assert row["request"] == {"method": "GET", "address": "http://a/", "parameters": {"q": "tea"}}
    assert row["answer"] == TEA.answer and row["at"].endswith("Z")


def _write(file: str, name: str) -> None:
    recording = Recording(Path(file))
    for n in range(30):
        recording.add(asked(f"{name}{n}"), Recorded({"by": name, "n": n}))
        recording.add(asked(f"same{n}"), Recorded({"by": name}))


def test_processes_that_write_at_once_lose_nothing_and_agree(file):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(file), name)) for name in "abc"]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    recording = Recording(file)
    for name in "abc":
        for n in range(30):
            assert recording.get(asked(f"{name}{n}")) == Recorded({"by": name, "n": n})
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == len({row["key"] for row in rows}) == 120
    assert os.stat(file).st_size > 0


def test_one_thread_at_a_time_asks_for_the_same(file):
    recording, inside, most = Recording(file), [], []

    def ask(query: str) -> None:
        with recording.asking(asked(query)):
            inside.append(query)
            most.append(inside.count(query))
            threading.Event().wait(0.02)
            inside.remove(query)

    threads = [threading.Thread(target=ask, args=(query,)) for query in "ab" * 4]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most == [1] * 8
