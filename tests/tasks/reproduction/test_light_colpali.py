"""Light-ColPali's experiment: its ways of storing pages, what is drawn, what its table says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from models.retrieval.merging import remaining
from tasks.records.images import open_image, to_png
from tasks.records.pages import read_pages, read_questions
from tasks.reproduction import light_colpali as experiment
from tasks.reproduction import light_colpali_report as report
from tasks.reproduction.light_colpali import CONTROL, SHIPPED, TUNED
from tasks.reproduction.outcome import experiment_table
from tasks.reproduction.retrieval_answers import hottest
from tasks.reproduction.retrieval_ways import FACTORS, Seen, Way, stored
from tasks.retrieval.index import Embedded
from tasks.world.page_sets import write_page_sets

GRID, PROMPT, WIDTH = (18, 16), 11, 32


@pytest.fixture(scope="module")
def seen() -> Seen:
    draw = torch.Generator().manual_seed(0)
    number = GRID[0] * GRID[1]
    rows = torch.nn.functional.normalize(
        torch.randn(number + PROMPT, WIDTH, generator=draw), dim=-1
    )
    page = Embedded("a", "a", 1, rows, torch.arange(number), GRID, (256, 288))
    asked = torch.nn.functional.normalize(torch.randn(2, 4, WIDTH, generator=draw), dim=-1)
    states = rows[: remaining(number, 9)]
    return Seen(page, states, torch.rand(6, number, generator=draw), list(asked))


def test_every_way_stores_as_many_vectors_at_a_factor(seen):
    trees: dict = {}
    for way in SHIPPED.ways:
        kept = stored(seen, way, trees).vectors
        wanted = {"all": 299, "one": 1}.get(way.kind, remaining(288, way.factor) + PROMPT)
        if way.kind == "windows":  # incomplete ones at the border count as well
            assert wanted <= len(kept) <= 1.6 * wanted
        else:
            assert len(kept) == wanted, way
        assert torch.allclose(kept.norm(dim=-1), torch.ones(len(kept)), atol=1e-5)


def test_pruning_keeps_rows_of_the_page_and_the_prompt_stays_behind_them(seen):
    rows = seen.page.vectors
    for kind in ("random", "score", "attention"):
        kept = stored(seen, Way(kind, 9, seed=3), {}).vectors
        assert all((rows[:288] == one).all(1).any() for one in kept[:-PROMPT])
        assert torch.equal(kept[-PROMPT:], rows[288:])
    assert torch.equal(stored(seen, Way("states", 9), {}).vectors[-PROMPT:], rows[288:])
    potential = (rows[:288] @ torch.cat(list(seen.queries)).T).amax(1)
    kept = stored(seen, Way("score", 49), {}).vectors[:-PROMPT]
    assert torch.equal(kept, rows[potential.topk(len(kept)).indices.sort().values])


def test_the_arms_are_asked_in_the_ways_that_their_hypotheses_name():
    made = {
        report.title({"arm": arm.name, "way": way.name})
        for arm in (SHIPPED, CONTROL, *TUNED) for way in arm.ways
    }  # fmt: skip
    named = {name for _, *both in report.HYPOTHESES for name in both}
    assert named <= made
    assert {f"{line} {factor:g}" for line in report.LINES for factor in FACTORS} <= made


def test_synthetic_questions_never_name_what_is_asked_later(tmp_path):
    counts = write_page_sets(tmp_path, 0, {"train": 2, "test": 4}, near=1)
    questions = {q.best: q for q in read_questions(tmp_path / "questions")}
    assert sum(counts.values()) == len(questions)
    for page in read_pages(tmp_path / "pages"):
        asked = questions[page.id].text.removeprefix("Which page says ").removeprefix("Find ")
        for fact in asked.rstrip("?.").split(", "):
            for synthetic in page.details["synthetic"]:
                said = synthetic.removeprefix("Which page says ").removeprefix("Find ")
                assert fact not in said.rstrip("?.").split(", ")


def drawn_results() -> list[dict]:
    """What two arms found: the tuned one 0.1 less, with a tenth of the bytes."""
    found = []
    for arm in (SHIPPED, TUNED[0]):
        way = arm.ways[0]
        for place, name in enumerate(("slides", "notes", "ledgers", "reports")):
            for seed in range(1 + (arm is TUNED[0])):
                items = {
                    f"{name}-{n}": 0.5 + 0.1 * place + 0.02 * (n % 3) - 0.1 * (arm is TUNED[0])
                    for n in range(20)
                }  # fmt: skip
                scored = {"score": sum(items.values()) / 20, "items": items}
                size = {"vectors": 299.0, "bytes": 38272.0} if arm is SHIPPED else {
                    "vectors": 43.0, "bytes": 5504.0}  # fmt: skip
                found.append({
                    "arm": arm.name, "seed": seed, "question": name, "way": way.name,
                    "factor": way.factor, "draw": 0, "best/test": scored | size,
                    "best/pooled": scored,
                })  # fmt: skip
    return found


def test_sparse_and_dense_pages_are_told_apart_and_differences_are_paired():
    rows = report.questions_of(drawn_results())
    table = experiment_table(rows, report.COLUMNS, 200)
    means = {
        name: {row["arm"]: row["score"]["mean"] for row in some} for name, some in table.items()
    }
    assert means["sparse pages"]["all vectors"] == pytest.approx(0.57 - 0.001, abs=2e-3)
    assert means["dense pages"]["all vectors"] == pytest.approx(0.77 - 0.001, abs=2e-3)
    tuned = means["all four sets"]["clusters 9, tuned with it"]
    assert means["all four sets"]["all vectors"] - tuned == pytest.approx(0.1)
    [row] = [r for r in table["all four sets"] if r["arm"] == "clusters 9, tuned with it"]
    assert row["score"]["against all vectors"]["mean"] == pytest.approx(-0.1)
    assert row["bytes"] == 5504 and len(row["seeds"]) == 2
    assert set(report.plots(drawn_results())) == {"memory"}


def test_a_trial_has_a_folder_of_its_own():
    one = experiment.Trial(CONTROL, 0, "p", "w", "s", "r", 2, 4, 1e-4)
    others = [
        replace(one, seed=1), replace(one, rate=2e-4), replace(one, arm=TUNED[0]),
        replace(one, split="dev"), replace(one, shard=1),
    ]  # fmt: skip
    assert len({trial.folder for trial in (one, *others)}) == 6


def test_a_page_is_cut_around_its_hottest_cell_and_never_beyond_its_edge():
    page = Image.new("RGB", (256, 288))
    page.putpixel((200, 100), (255, 0, 0))
    for cell in ((6, 12), (0, 0), (17, 15)):
        warm = np.zeros((18, 16))
        warm[cell] = 1
        cut = open_image(hottest(to_png(page), warm))
        assert cut.size == (96, 96)
        assert (cut.getextrema()[0][1] == 255) == (cell == (6, 12))
