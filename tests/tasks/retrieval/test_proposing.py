"""Pages that faiss proposes: the same are found, with the same scores, whatever comes or goes."""

import pytest

from tasks.retrieval.index import PageIndex
from tasks.retrieval.scoring import search
from tests.tasks.retrieval.drawn import asked_about, drawn_index


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """A place of its own for what is kept beside indexes."""
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout" / ".runtime" / "proposals"


def test_the_best_pages_are_those_of_an_exact_search_with_the_same_scores(tmp_path):
    index = drawn_index(tmp_path / "index", 400)
    questions = asked_about(index, 30)
    exact, fast = (search(index, questions, 5, how) for how in ("exact", "fast"))
    same = [len({one.page for one in a} & {one.page for one in b}) / 5
            for a, b in zip(exact, fast, strict=True)]  # fmt: skip
    assert sum(same) / len(same) >= 0.95
    scores = {(n, one.page): one.score for n, found in enumerate(exact) for one in found}
    for n, found in enumerate(fast):
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for one in found:
            assert abs(scores.get((n, one.page), one.score) - one.score) < 1e-5


def test_lists_are_made_once_and_again_when_pages_come_or_go(tmp_path, checkout):
    index = drawn_index(tmp_path / "index", 200)
    [question] = asked_about(index, 1)
    before = search(index, [question], 5, "fast")[0][0].page
    [file] = checkout.glob("*.faiss")
    made = file.stat().st_mtime_ns
    with PageIndex.open(index.folder) as again:
        search(again, [question], 5, "fast")
    assert file.stat().st_mtime_ns == made
    index.delete(before.partition("#")[0])
    found = search(index, [question], 5, "fast")[0]
    assert before not in {one.page for one in found}
    [newer] = checkout.glob("*.faiss")
    assert newer != file


def test_few_pages_are_compared_one_by_one(tmp_path, checkout):
    index = drawn_index(tmp_path / "index", 8)
    questions = asked_about(index, 3)
    assert search(index, questions, 5) == search(index, questions, 5, "exact")
    assert not list(checkout.glob("*.faiss"))
    exact, fast = (search(index, questions, 5, how) for how in ("exact", "fast"))
    assert [[one.page for one in found] for found in exact] == [
        [one.page for one in found] for found in fast
    ]
