"""Sums the experiment up: the table with intervals and paired tests, its plots, and MLflow runs."""

import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from mlflow.entities import Metric

import mlflow
from models.statistics import Comparison, compare, interval, told

Result = dict[str, Any]
BASE, SFT_BEST, SFT_LAST = "base", "SFT, best on dev", "SFT, fixed budget"
AGAINST = "against "
# what a row of the table holds, and which questions it is of
PARTS = {"score": "test", "known": "known", "others": "others"}
SHOWN = ("f1_at_50", "ap", "ap50", "ece", "format")
TEMPLATES = Path(__file__).parents[1] / "reporting"


def write_experiment(
    out: Path, results: Sequence[Result], run_id: str, resamples: int
) -> dict[str, float]:
    """Write `table.json`, the plots and `index.html` into `out`, and the arms' runs to MLflow.

    Returns:
        The score of every arm by question, and the paired differences of GRPO.
    """
    table = experiment_table(results, resamples)
    (out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    scores, curves = _score_plot(table), _curve_plot(results)
    for name, figure in (("scores", scores), ("dev_curves", curves)):
        figure.savefig(out / f"{name}.png", dpi=110)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("experiment.html.j2")
    drawn = {"scores": _svg(scores), "curves": _svg(curves)}
    (out / "index.html").write_text(page.render(table=table, shown=SHOWN, **drawn))
    _log_arms(results, run_id)
    mlflow.MlflowClient().log_table(run_id, _flat(table), "visual_rft.json")
    return {
        f"{question}/{row['arm']}".replace(",", ""): row["score"]["mean"]
        for question, rows in table.items()
        for row in rows
    }


def experiment_table(results: Sequence[Result], resamples: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every question, the base first.

    A score is the mean over seeds and questions; its interval is a bootstrap over test questions,
    each with its mean over the seeds that asked it. Differences are paired by question, and their
    p-values adjusted for the number of all differences in the table (Holm). `seeds` has the score
    of each seed. What nothing was asked of is None.
    """
    by_question: dict[str, dict[str, list[tuple[Result, str]]]] = defaultdict(dict)
    for question in dict.fromkeys(result["question"] for result in results):
        ours = [result for result in results if result["question"] == question]
        by_question[question] = _arms(ours)
    table = {
        question: [_row(arm, runs, arms, resamples) for arm, runs in arms.items()]
        for question, arms in by_question.items()
    }
    made = [
        (cell, name) for rows in table.values() for row in rows
        for cell in (row[part] for part in PARTS) if cell
        for name in cell if name.startswith(AGAINST)
    ]  # fmt: skip
    for (cell, name), facts in zip(made, told([cell[name] for cell, name in made]), strict=True):
        cell[name] = {"mean": facts.pop("difference")} | facts
    return table


def _arms(results: Sequence[Result]) -> dict[str, list[tuple[Result, str]]]:
    """Return (result, which model of it) per seed for every row of the table."""
    seeds = sorted({result["seed"] for result in results})
    runs = {(result["arm"], result["seed"]): result for result in results}
    names = list(dict.fromkeys(result["arm"] for result in results))
    rates = [name for name in names if name.startswith("sft") and "bare" not in name]
    chosen = [next(runs[name, seed] for name in rates if (name, seed) in runs) for seed in seeds]
    bare = [runs["sft on bare labels", seed] for seed in seeds]
    arms = {
        BASE: [(runs["base", seed], "best") for seed in seeds],
        SFT_BEST: [(run, "best") for run in chosen],
        SFT_LAST: [(run, "last") for run in chosen],
        "SFT on bare labels, best on dev": [(run, "best") for run in bare],
        "SFT on bare labels, fixed budget": [(run, "last") for run in bare],
    }
    for name in (name for name in names if name.startswith("grpo")):
        title = name.replace("grpo", "GRPO")
        arms[f"{title}, best on dev"] = [(runs[name, seed], "best") for seed in seeds]
        arms[f"{title}, last step"] = [(runs[name, seed], "last") for seed in seeds]
    return arms


def _row(
    arm: str,
    runs: list[tuple[Result, str]],
    arms: dict[str, list[tuple[Result, str]]],
    resamples: int,
) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": arm}
    for name, part in PARTS.items():
        values = _items(runs, part)
        found = interval(np.array(list(values.values())), resamples)
        row[name] = found and asdict(found)
        for other in (BASE, SFT_BEST):
            if arm != other and (test := _paired(values, _items(arms[other], part), resamples)):
                row[name][AGAINST + other] = test
    row["seeds"] = [run[f"{which}/test"]["score"] for run, which in runs]
    row |= {
        name: fmean(values)
        for name in SHOWN
        if (values := [r[f"{w}/test"][name] for r, w in runs if name in r[f"{w}/test"]])
    }
    if arm != BASE:
        row["best_steps"] = [run["best_step"] for run, _ in runs]
        row["seconds"] = fmean(run["training_seconds"] for run, _ in runs)
    return row


def _items(runs: list[tuple[Result, str]], part: str) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for run, which in runs:
        for item, value in run[f"{which}/{part}"]["items"].items():
            values[item].append(value)
    return {item: fmean(held) for item, held in values.items()}


def _paired(values: dict[str, float], other: dict[str, float], resamples: int) -> Comparison | None:
    common = sorted(set(values) & set(other))
    ours, theirs = (np.array([held[item] for item in common]) for held in (values, other))
    return compare(ours, theirs, resamples)


def _score_plot(table: dict[str, list[dict[str, Any]]]) -> Figure:
    """Draw, per question, the score of every arm and what it changed on the other tasks."""
    longest = max(len(rows) for rows in table.values())
    figure = Figure(figsize=(12, 0.42 * longest * len(table) + 1.5), layout="constrained")
    axes = figure.subplots(len(table), 2, squeeze=False, width_ratios=(3, 2))
    for (question, rows), (left, right) in zip(table.items(), axes, strict=True):
        places = range(len(rows))[::-1]
        for place, row in zip(places, rows, strict=True):
            color = "#c2410c" if row["arm"].startswith("GRPO") else "#1d4ed8"
            color = "#6b7280" if row["arm"] == BASE else color
            _dot(left, row["score"], place, color)
            left.plot(row["seeds"], [place] * len(row["seeds"]), "|", color=color, alpha=0.5)
            if row["arm"] != BASE and row["others"]:
                _dot(right, row["others"].get(AGAINST + BASE), place, color)
        left.set_yticks(places, [row["arm"] for row in rows])
        left.set(xlim=(0, 1), title=f"{question}: test score")
        right.set(title="other tasks: change from the base")
        right.set_yticks(places, [])
        right.axvline(0, color="#6b7280", linewidth=0.8)
        for axis in (left, right):
            axis.set_ylim(-0.6, len(rows) - 0.4)
            axis.grid(axis="x", alpha=0.3)
    return figure


def _dot(axis: Any, cell: dict[str, float] | None, place: float, color: str) -> None:
    if not cell:
        return
    axis.plot([cell["low"], cell["high"]], [place, place], color=color, linewidth=2)
    axis.plot(cell["mean"], place, "o", color=color)


def _curve_plot(results: Sequence[Result]) -> Figure:
    """Draw the dev score over the steps of every arm, the mean of all seeds and each seed."""
    questions = list(dict.fromkeys(result["question"] for result in results))
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, len(questions), squeeze=False, sharey=True)[0]
    for question, axis in zip(questions, axes, strict=True):
        ours = [r for r in results if r["question"] == question and "dev" in r]
        for arm in dict.fromkeys(result["arm"] for result in ours):
            runs = [r["dev"] for r in ours if r["arm"] == arm]
            steps = sorted(map(int, runs[0]))
            mean = [fmean(run[str(step)] for run in runs) for step in steps]
            line = axis.plot(steps, mean, label=arm, linewidth=2)[0]
            for run in runs:
                axis.plot(steps, [run[str(s)] for s in steps], color=line.get_color(), alpha=0.2)
        axis.set(title=question, xlabel="step", ylim=(0, 1))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower right")
    axes[0].set_ylabel("dev score")
    return figure


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _log_arms(results: Sequence[Result], run_id: str) -> None:
    """Make every arm a run below the stage's, with its dev and training curves."""
    client = mlflow.MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    for result in results:
        name = f"{result['question']} · {result['arm']} · seed {result['seed']}"
        run = client.create_run(experiment, run_name=name, tags={"mlflow.parentRunId": run_id})
        metrics = [
            Metric(f"{part}/{name}", value, 0, 0)
            for part in ("best/test", "best/known", "best/others")
            for name, value in result[part].items()
            if name != "items"
        ]
        dev = result.get("dev", {})
        metrics += [Metric("dev/score", score, 0, int(step)) for step, score in dev.items()]
        metrics += [
            Metric(name, value, 0, step)
            for step, row in enumerate(result.get("history", []), 1)
            for name, value in row.items()
            if name in ("train/reward", "train/kl", "train/loss", "train/entropy")
        ]
        for start in range(0, len(metrics), 500):
            client.log_batch(run.info.run_id, metrics[start : start + 500])
        client.set_terminated(run.info.run_id)


def _flat(table: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    rows = [
        {
            "question": question, "arm": row["arm"], "score": row["score"]["mean"],
            "low": row["score"]["low"], "high": row["score"]["high"],
            "known classes": row["known"] and row["known"]["mean"],
            "other tasks": row["others"] and row["others"]["mean"],
            "seconds": row.get("seconds", 0.0),
        }
        for question, rows in table.items() for row in rows
    ]  # fmt: skip
    return {name: [row[name] for row in rows] for name in rows[0]}
