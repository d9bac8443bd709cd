"""An index of passages finds what bm25s scores, ranked by us, whole after every kill."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.records.passages import Passage
from tasks.running.errors import UserError
from tasks.tools.passages import INDEX, WORD, PassageIndex, best, write_index
from tasks.tools.search import LONGEST

ROOT = Path(__file__).resolve().parents[3]
SHAPES, PLACES = ("triangle", "circle", "square"), ("town", "land", "river")
SMALL = [
    Passage(f"p{n}", f"{SHAPES[n % 3]} {n}", f"The {SHAPES[n % 3]} is made in {PLACES[n % 2]} {n}.")
    for n in range(40)
]
WORDS = st.sampled_from(["the", "town", "towns", "land", "triangle", "made", "7", "the who", "é"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("passages") / "index"
    write_index(SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def index(folder) -> PassageIndex:
    return PassageIndex.open(folder)


def ids(index: PassageIndex, query: str, k: int = 50) -> list[str]:
    return [hit.id for hit in index.search(query, k)]


def test_what_a_passage_says_finds_it(index):
    [hit] = index.search("Where is triangle 21 made?", 1)
    assert hit.id == "p21" and hit.text == "The triangle is made in land 21." and hit.score > 0
    assert hit.title == "triangle 21" and hit.pictures == ()


@settings(max_examples=100)
@given(st.lists(WORDS, min_size=1, max_size=5))
def test_scores_are_those_of_bm25s_asked_with_words(index, words):
    words = " ".join(words).split()
    stem = Stemmer.Stemmer("english").stemWords
    texts = [stem(WORD.findall(f"{p.title}\n{p.text}".lower())) for p in SMALL]
    theirs = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numpy")
    theirs.index(texts, show_progress=False)
    telling = [w for w in words if w not in bm25s.stopwords.STOPWORDS_EN] or words
    known = [w for w in stem(telling) if w in theirs.vocab_dict]
    scores = theirs.get_scores(known) if known else np.zeros(len(SMALL))
    found = {hit.id: hit.score for hit in index.search(" ".join(words), 50)}
    wanted = {p.id: s for p, s in zip(SMALL, scores.tolist(), strict=True) if s > 0}
    assert found == pytest.approx(wanted, rel=1e-5)


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5]), min_size=1, max_size=30),
    st.integers(-1, 40), st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_best_are_those_of_a_plain_sort(scores, most, rng):
    order = list(range(len(scores)))
    rng.shuffle(order)
    rows = sorted((i for i, s in enumerate(scores) if s > 0), key=lambda i: (-scores[i], order[i]))
    assert best(np.array(scores), np.array(order), most).tolist() == rows[: max(0, most)]


def test_of_equal_passages_the_first_id_comes_first_whatever_their_order(tmp_path):
    same = [Passage(id, "", "tea in May") for id in ("b", "10", "a", "9", "é")]
    write_index(same, tmp_path / "one")
    write_index(same[::-1], tmp_path / "two")
    one, two = (PassageIndex.open(tmp_path / name) for name in ("one", "two"))
    assert ids(one, "tea") == ids(two, "tea") == ["10", "9", "a", "b", "é"]
    assert ids(one, "tea", 2) == ["10", "9"]


def test_fewer_are_the_beginning_of_more(index):
    more = ids(index, "triangle town 7")
    assert all(ids(index, "triangle town 7", k) == more[:k] for k in range(len(more)))


def test_the_order_of_words_changes_no_score(tmp_path):
    """Not even by a rounding error, which would change the order of equal passages."""
    rng = random.Random(0)
    words = [f"w{n}" for n in range(12)]
    write_index(
        (Passage(f"{n}", "", " ".join(rng.choices(words, range(1, 13), k=rng.randint(5, 60))))
         for n in range(200)),
        tmp_path,
    )  # fmt: skip
    index = PassageIndex.open(tmp_path)
    found = index.search(" ".join(words), 200)
    for _ in range(5):
        rng.shuffle(words)
        assert index.search(" ".join(words), 200) == found


@pytest.mark.parametrize(
    "query", ["", "  ", "?!", "zebra", "\x00", "\ud800", "a" * (LONGEST + 1), "the " * 9999]
)
def test_what_is_no_query_or_in_no_passage_finds_nothing(index, query):
    assert index.search(query, 5) == []


@settings(max_examples=200)
@given(st.text(max_size=60), st.integers(-3, 9))
def test_no_query_raises(index, query, k):
    assert len(index.search(query, k)) <= max(0, k)


def test_stop_words_are_looked_for_where_there_are_no_others(tmp_path):
    write_index([Passage("1", "The Who", "A band."), Passage("2", "Tea", "It grows.")], tmp_path)
    assert ids(PassageIndex.open(tmp_path), "the who") == ["1"]


def test_passages_without_words_are_an_index_that_finds_nothing(tmp_path):
    write_index([Passage("1", "", "?!")], tmp_path)
    assert ids(PassageIndex.open(tmp_path), "tea") == []


def test_more_passages_than_a_batch_are_told_apart(tmp_path):
    write_index((Passage(f"{n}", "", f"number n{n}") for n in range(9000)), tmp_path)
    index = PassageIndex.open(tmp_path)
    assert [ids(index, f"n{n}") for n in (0, 4095, 4096, 8999)] == [["0"], ["4095"], ["4096"],
                                                                   ["8999"]]  # fmt: skip


def test_the_same_passages_are_not_indexed_again_and_others_are_refused(tmp_path):
    made = write_index(SMALL, tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert write_index(SMALL, tmp_path) == made
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
    with pytest.raises(UserError, match="the index of another corpus"):
        write_index(SMALL[1:], tmp_path)
    with pytest.raises(UserError, match="the index of another corpus"):
        PassageIndex.open(tmp_path, corpus="abc")
    assert len(PassageIndex.open(tmp_path, made.corpus)) == 40
    assert not list(tmp_path.parent.glob("*.partial"))


def test_nothing_to_index_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing to search in index"):
        write_index([], tmp_path / "index")
    with pytest.raises(ValueError, match="same id"):
        write_index([SMALL[0], SMALL[0]], tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    ["no index", "no scores", "cut", "another way", "no json", "a list", "an empty folder"],
)
def test_a_damaged_index_is_refused_in_words(tmp_path, damage):
    write_index(SMALL, tmp_path)
    told = json.loads((tmp_path / INDEX).read_text())
    if damage == "no index":
        (tmp_path / INDEX).unlink()
    elif damage == "no scores":
        (tmp_path / "data.csc.index.npy").unlink()
    elif damage == "cut":
        file = tmp_path / "passages.arrow"
        file.write_bytes(file.read_bytes()[:-9])
    elif damage == "another way":
        (tmp_path / INDEX).write_text(json.dumps(told | {"how": {}}))
    elif damage == "an empty folder":
        for file in tmp_path.iterdir():
            file.unlink()
    else:
        (tmp_path / INDEX).write_text("{" if damage == "no json" else "[]")
    with pytest.raises(UserError) as refused:
        PassageIndex.open(tmp_path)
    assert str(tmp_path) in refused.value.what


KILLED = """
import os, sys
from pathlib import Path
from tasks.tools import passages
from tests.tasks.tools.test_passages import SMALL
def dies(folder):
    os.kill(os.getpid(), 9)
setattr(passages, sys.argv[2], dies)
passages.write_index(SMALL, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["_write_scores", "sync", "swap"])
def test_a_kill_leaves_no_index_and_the_next_start_makes_it(tmp_path, moment):
    folder = tmp_path / "index"
    code = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), moment], cwd=ROOT, capture_output=True
    ).returncode
    assert code == -9 and not folder.exists() and list(tmp_path.glob("*.partial"))
    write_index(SMALL, folder)
    assert len(PassageIndex.open(folder)) == 40 and not list(tmp_path.glob("*.partial"))


def test_a_search_imports_no_jax(folder, tmp_path):
    """It would take most of a GPU's memory from whoever trains there."""
    (tmp_path / "jax.py").write_text("raise SystemExit('jax was imported')")
    code = (
        "import sys; from pathlib import Path; from tasks.tools.passages import PassageIndex;"
        f"PassageIndex.open(Path({str(folder)!r})).search('tea', 1);"
        "assert 'jax' not in sys.modules"
    )
    paths = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=paths, check=True)
    plain = subprocess.run([sys.executable, "-c", "import bm25s"], env=paths, capture_output=True)
    assert b"jax was imported" in plain.stderr  # what is kept out is there
