"""The experiment's table: means over seeds and questions, intervals, pairs, and who is compared."""

import os
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

import mlflow
from tasks.asking.coordinates import Coordinates
from tasks.reproduction.outcome import Table, experiment_table, write_experiment
from tasks.reproduction.visual_rft import QUESTIONS, trials
from tasks.reproduction.visual_rft_report import CLAIM, COLUMNS, SFT_BEST, questions_of
from tasks.running.tracking import use_tracking
from tasks.settings.reinforce import VisualRft

SEEDS, ITEMS = 3, 40
LEVEL = {"base": 0.2, "sft 0.0001": 0.6, "sft on bare labels": 0.5, "grpo": 0.7}


def result(question: str, arm: str, seed: int) -> dict:
    rng = np.random.default_rng([len(arm), seed])

    def answers(level: float) -> dict:
        values = np.clip(rng.normal(level, 0.1, ITEMS), 0, 1)
        items = {f"item {i}": float(v) for i, v in enumerate(values)}
        return {"score": fmean(items.values()), "format": 0.9, "items": items}

    run = {"question": question, "arm": arm, "seed": seed, "history": []}
    for which in ("best", "last"):
        level = LEVEL[arm] - 0.1 * (which == "last")
        run |= {f"{which}/test": answers(level)}
        run |= {f"{which}/{part}": answers(0.9) for part in ("known", "others")}
    if arm != "base":
        run |= {"dev": {"0": 0.1, "10": LEVEL[arm]}, "best_step": 10, "training_seconds": 5.0}
    return run


@pytest.fixture(scope="module")
def results() -> list[dict]:
    return [result("detection", arm, seed) for arm in LEVEL for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def rows(results) -> dict[str, dict]:
    return {row["arm"]: row for row in table_of(results, 400)["detection"]}


def table_of(results: list[dict], resamples: int) -> Table:
    return experiment_table(questions_of(results), COLUMNS, resamples)


def scores(results: list[dict], arm: str, which: str = "best") -> np.ndarray:
    """Return [seeds, items]."""
    runs = [run for run in results if run["arm"] == arm]
    return np.array([list(run[f"{which}/test"]["items"].values()) for run in runs])


def test_every_arm_has_its_best_and_its_last_model_in_the_table(rows):
    assert list(rows) == [
        "base", SFT_BEST, "SFT, fixed budget", "SFT on bare labels, best on dev",
        "SFT on bare labels, fixed budget", "GRPO, best on dev", "GRPO, last step",
    ]  # fmt: skip


def test_a_score_is_the_mean_over_seeds_and_questions(rows, results):
    held = rows["GRPO, best on dev"]
    assert held["score"]["mean"] == pytest.approx(scores(results, "grpo").mean())
    assert held["seeds"] == pytest.approx(scores(results, "grpo").mean(1).tolist())
    last = scores(results, "grpo", "last").mean()
    assert rows["GRPO, last step"]["score"]["mean"] == pytest.approx(last)


def test_differences_are_paired_by_question(rows, results):
    ours, base, sft = (scores(results, arm).mean(0) for arm in ("grpo", "base", "sft 0.0001"))
    held = rows["GRPO, best on dev"]["score"]
    assert held["against base"]["mean"] == pytest.approx((ours - base).mean())
    assert held[f"against {SFT_BEST}"]["mean"] == pytest.approx((ours - sft).mean())
    assert held["against base"]["p_value"] < 0.01
    around = held["against base"]
    assert around["low"] < (ours - base).mean() < around["high"]


def test_a_question_that_a_seed_did_not_ask_counts_by_the_seeds_that_did(results):
    changed = [run | {} for run in results]
    for run in changed:
        if run["seed"] == 0:
            for key in ("best/test", "last/test"):
                items = dict(list(run.get(key, run["best/test"])["items"].items())[:10])
                run[key] = run[key] | {"items": items}
    [row] = [r for r in table_of(changed, 100)["detection"] if r["arm"] == "base"]
    held = scores(results, "base")
    expected = np.concatenate([held[:, :10].mean(0), held[1:, 10:].mean(0)]).mean()
    assert row["score"]["mean"] == pytest.approx(expected)


def test_all_arms_of_a_question_and_seed_learn_from_the_same_pictures():
    made = trials(
        data="data", others="others", start="model", folder=Path("jobs"),
        coordinates=Coordinates(100), **VisualRft().model_dump(),
    )  # fmt: skip
    assert len({job.folder for job in made}) == len(made) == 3 * (5 + 5 + 5 + 2)
    by_question = {q.name: {j.arm.name for j in made if j.question is q} for q in QUESTIONS}
    assert {len(arms) for arms in by_question.values()} == {5, 7}
    assert all("grpo" in arms and "sft on bare labels" in arms for arms in by_question.values())
    assert {job.data for job in made} == {"data"} and {job.start for job in made} == {"model"}


def test_the_page_and_the_runs_of_the_arms_are_written(results, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    use_tracking(tmp_path)
    with mlflow.start_run() as run:
        found = write_experiment(
            tmp_path, CLAIM, results, questions_of(results), COLUMNS, run.info.run_id, 100
        )
    page = (tmp_path / "index.html").read_text()
    for words in (CLAIM.title, "known classes", "other tasks", f"against {SFT_BEST}", "Holm"):
        assert words in page, words
    assert found["detection/GRPO best on dev"] == pytest.approx(scores(results, "grpo").mean())
    arms = mlflow.search_runs(filter_string="tags.kind = 'arm'", search_all_experiments=True)
    assert len(arms) == len(results) and set(arms["tags.arm"]) == set(LEVEL)
    mlflow.set_tracking_uri(None)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
