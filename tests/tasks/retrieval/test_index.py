"""An index on disk: what is added is found, what is deleted is not, and no kill leaves a half."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers.util import maxsim

from tasks.retrieval.index import INDEX, SEGMENTS, Embedded, Made, PageIndex
from tasks.retrieval.scoring import exact_scores, heat, search
from tasks.running.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
WIDTH = 16
MADE = Made("model 1", WIDTH, "clusters", 9.0)


def rows_of(seed: int, number: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(number, WIDTH, generator=draw), dim=-1)


def page(seed: int, document: str = "a.pdf", vectors: int = 0) -> Embedded:
    """A page of 3 x 4 patches in some groups, and two rows of a prompt."""
    groups = vectors or 3 + seed % 3
    return Embedded(
        f"{document}#{seed}", document, seed, rows_of(seed, groups + 2),
        torch.arange(12) % groups, (3, 4), (96, 72), b"small",
    )  # fmt: skip


def whole(index: PageIndex) -> dict[str, torch.Tensor]:
    return {entry.id: index.vectors(entry).float() for entry in index.entries}


@pytest.fixture
def index(tmp_path) -> PageIndex:
    made = PageIndex.create(tmp_path / "index", MADE)
    made.add([page(n) for n in range(5)])
    made.add([page(n, "b.pdf") for n in range(3)])
    return made


def test_scores_are_those_of_sentence_transformers_alone_in_a_batch_and_from_disk(index):
    questions = [rows_of(100 + n, 1 + n) for n in range(4)]
    again = PageIndex.open(index.folder)
    vectors = [index.vectors(entry) for entry in index.entries]
    theirs = maxsim(questions, [some.float() for some in vectors]).T.numpy()
    assert np.allclose(exact_scores(again, questions), theirs, atol=1e-6)
    for n, question in enumerate(questions):
        alone = exact_scores(again, [question])[:, 0]
        assert np.allclose(alone, theirs[:, n], atol=1e-6)
    full = maxsim(questions, [page(n).vectors for n in range(5)]).T.numpy()
    first = [next(i for i, e in enumerate(again.entries) if e.id == f"a.pdf#{n}") for n in range(5)]
    assert np.allclose(exact_scores(again, questions)[first], full, atol=2e-3)  # float16


def test_many_questions_are_put_in_parts_and_score_the_same(index, monkeypatch):
    questions = [rows_of(200 + n, 1 + n % 5) for n in range(40)]
    together = exact_scores(index, questions)
    monkeypatch.setattr("tasks.retrieval.scoring.WORDS_AT_ONCE", 7)
    monkeypatch.setattr("tasks.retrieval.scoring.ROWS_AT_ONCE", 6)
    assert np.allclose(exact_scores(index, questions), together, atol=1e-6)


def test_the_best_pages_come_first_and_of_equal_ones_the_later_name(tmp_path):
    index = PageIndex.create(tmp_path, MADE)
    same = rows_of(7, 5)
    twins = [
        Embedded(name, name, 1, same, torch.arange(12) % 3, (3, 4), (96, 72))
        for name in ("b", "a", "c")
    ]
    index.add([*twins, page(1)])
    [found] = search(index, [same[:2]], 3)
    assert [one.page for one in found] == ["c", "b", "a"]
    assert found[0].score == pytest.approx(2, abs=2e-3)
    assert search(index, [], 3) == [] and len(search(index, [same[:1]], 99)[0]) == 4


def test_pages_are_deleted_added_and_compacted_without_a_change_to_the_others(index):
    before = whole(index)
    assert index.delete("a.pdf") == 5 and index.delete("a.pdf") == 0
    assert whole(PageIndex.open(index.folder)).keys() == {f"b.pdf#{n}" for n in range(3)}
    index.add([page(n, "c.pdf") for n in range(2)])
    size = sum(f.stat().st_size for f in (index.folder / SEGMENTS).iterdir())
    held = whole(index)
    index.compact()
    again = PageIndex.open(index.folder)
    for name, vectors in whole(again).items():
        assert torch.equal(vectors, held[name])
        assert name not in before or torch.equal(vectors, before[name])
    assert sum(f.stat().st_size for f in (index.folder / SEGMENTS).iterdir()) < size
    assert len(list((index.folder / SEGMENTS).glob("*.safetensors"))) == 1
    again.add([page(n) for n in range(5)])  # the names of pages that were deleted are free
    assert {n: v.tolist() for n, v in whole(PageIndex.open(index.folder)).items()} | {
        n: v.tolist() for n, v in before.items()
    } == {n: v.tolist() for n, v in whole(again).items()}


def test_bytes_and_counts_are_told(index):
    told = json.loads((index.folder / INDEX).read_text())
    assert told["pages"] == 8 == len(index) and told["number"] == "float16"
    assert told["bytes"] == index.bytes == 2 * WIDTH * sum(e.after for e in index.entries)
    entry = index.entries[0]
    assert entry.before == 12 + 2 and entry.after == int(max(entry.groups)) + 1 + 2


def test_heat_is_that_of_each_patchs_own_vector(index):
    entry, question = index.entries[0], rows_of(5, 3)
    warm = heat(index, entry, question)
    assert warm.shape == (3, 4)
    near = (index.vectors(entry).float() @ question.T).amax(1)
    for place, group in enumerate(entry.groups):
        assert warm[place // 4, place % 4] == pytest.approx(float(near[group]))


@pytest.mark.parametrize("wrong", [
    page(0),
    replace(page(60), vectors=torch.ones(5, 3)),
    replace(page(60), vectors=torch.full((5, WIDTH), torch.nan)),
], ids=["name", "width", "nan"])  # fmt: skip
def test_what_does_not_belong_there_changes_nothing(index, wrong):
    before = (index.folder / INDEX).read_text()
    with pytest.raises(ValueError, match="name|numbers|finite"):
        index.add([page(50), wrong])
    assert (index.folder / INDEX).read_text() == before
    assert len(PageIndex.open(index.folder)) == 8


def test_an_index_of_another_model_is_refused_with_what_differs(index):
    with pytest.raises(UserError, match="has other vectors") as error:
        PageIndex.create(index.folder, Made("model 2", WIDTH, "clusters", 25.0))
    assert "model is model 1 there" in error.value.why and "factor is 9.0 there" in error.value.why
    assert len(PageIndex.create(index.folder, MADE)) == 8


def test_a_damaged_part_is_named(index):
    segment = sorted((index.folder / SEGMENTS).glob("*.safetensors"))[0]
    data = segment.read_bytes()
    segment.write_bytes(data[:-40])
    with pytest.raises(UserError, match="part of the index") as error:
        exact_scores(PageIndex.open(index.folder), [rows_of(1, 1)])
    assert segment.name in error.value.why
    segment.unlink()
    with pytest.raises(UserError, match="part of the index"):
        exact_scores(PageIndex.open(index.folder), [rows_of(1, 1)])
    (index.folder / SEGMENTS).rename(index.folder / "elsewhere")
    with pytest.raises(UserError, match="no index"):
        PageIndex.open(index.folder)
    (index.folder / INDEX).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        PageIndex.open(index.folder)
    with pytest.raises(UserError, match="no index"):
        PageIndex.open(index.folder / "none")


ADDING = """
import sys
from pathlib import Path
from tasks.retrieval.index import PageIndex
from tests.tasks.retrieval.test_index import MADE, page
index = PageIndex.create(Path(sys.argv[1]), MADE)
print("ready", flush=True)
for n in range(10_000):
    index.add([page(n, f"{n}.pdf"), page(n + 20_000, f"{n}.pdf")])
    if n % 3 == 2:
        index.delete(f"{n - 1}.pdf")
    if n % 7 == 6:
        index.compact()
"""


@pytest.mark.parametrize("wait", [0.05, 0.13, 0.21, 0.34])
def test_whatever_moment_a_kill_picks_the_index_is_whole(tmp_path, wait):
    killed = subprocess.Popen(
        [sys.executable, "-c", ADDING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    killed.stdout.readline()
    try:
        killed.wait(wait)
    except subprocess.TimeoutExpired:
        os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    index = PageIndex.open(tmp_path)
    documents = {entry.document for entry in index.entries}
    assert len(index.entries) == 2 * len(documents)  # a document's two pages came together
    for entry in index.entries:
        assert torch.equal(index.vectors(entry), page(entry.number).vectors.half())
    index.add([page(30_000, "later.pdf")])
    assert "later.pdf#30000" in PageIndex.open(tmp_path)
