"""What an experiment found: its table with intervals and paired tests, plots, and MLflow runs."""

import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from mlflow.entities import Metric

import mlflow
from models.statistics import Comparison, compare, interval, told
from tasks.reproduction.arms import BASE, Result
from tasks.running.texts import metric_name

Row = dict[str, Any]
Table = dict[str, list[Row]]
Runs = list[tuple[Result, str]]  # per seed, a result and which of its models is meant
AGAINST = "against "
SCORE = "score"
TEMPLATES = Path(__file__).parents[1] / "reporting"


@dataclass(frozen=True)
class Columns:
    """What a row of the table holds.

    Attributes:
        parts: Cells with an interval, and the questions that each is about: `{"score": "test"}`.
            The score comes first; of the others a page tells the change from the base.
        against: Rows that every other one is compared with, in questions that have them; the base
            first.
        shown: Further measures of the test questions, without an interval.
    """

    parts: Mapping[str, str]
    against: Sequence[str]
    shown: Sequence[str] = ()


@dataclass(frozen=True)
class Claim:
    """What an experiment is about, in the words of its page.

    Attributes:
        highlighted: What the titles of the arms begin with that the claim is about.
        untrained: The part of the columns that nobody trained, for what was forgotten.
        titles: Of the parts, where their name does not say enough.
    """

    name: str
    title: str
    about: str
    highlighted: str
    untrained: str
    titles: Mapping[str, str] = field(default_factory=dict)


def write_experiment(
    out: Path,
    claim: Claim,
    results: Sequence[Result],
    questions: Mapping[str, Mapping[str, Runs]],
    columns: Columns,
    run_id: str,
    resamples: int,
    *,
    hypotheses: Sequence[Row] = (),
    plots: Mapping[str, Figure] | None = None,
) -> dict[str, float]:
    """Write `table.json`, the plots and `index.html` into `out`, and the arms' runs to MLflow.

    Args:
        results: Of all arms that were asked.
        questions: The rows of the table; see `experiment_table`.
        run_id: The stage's MLflow run.
        hypotheses: What was said before, each with its test (`models.statistics.told`).
        plots: Further ones, by name.

    Returns:
        The score of every arm by question.
    """
    table = experiment_table(questions, columns, resamples)
    (out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    figures = {"scores": score_plot(table, claim, columns.against[0])}
    if any("dev" in result for result in results):
        figures["dev_curves"] = curve_plot(results)
    figures |= plots or {}
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=110)
    # not the pages' own environment: it knows the kinds of questions, and this page shows none
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("experiment.html.j2")
    html = page.render(
        claim=claim, columns=columns, table=table, hypotheses=hypotheses,
        plots={name: svg(figure) for name, figure in figures.items()},
    )  # fmt: skip
    (out / "index.html").write_text(html)
    log_arms(results, run_id, set(columns.parts.values()))
    mlflow.MlflowClient().log_table(run_id, _flat(table, columns), f"{claim.name}.json")
    return {
        f"{question}/{row['arm']}".replace(",", ""): row[SCORE]["mean"]
        for question, rows in table.items()
        for row in rows
    }


def experiment_table(
    questions: Mapping[str, Mapping[str, Runs]], columns: Columns, resamples: int
) -> Table:
    """Return the rows of every question, the base first.

    A score is the mean over seeds and questions; its interval is a bootstrap over test questions,
    each with its mean over the seeds that asked it. Differences are paired by question, and their
    p-values adjusted for the number of all differences in the table (Holm). `seeds` has the score
    of each seed. What nothing was asked of is None.

    Args:
        questions: The runs of every arm, by its title and by what was to be learnt.
    """
    table = {
        question: [_row(arm, arms, columns, resamples) for arm in arms]
        for question, arms in questions.items()
    }
    made = [
        (cell, name) for rows in table.values() for row in rows
        for cell in (row[part] for part in columns.parts) if cell
        for name in cell if name.startswith(AGAINST)
    ]  # fmt: skip
    for (cell, name), facts in zip(made, told([cell[name] for cell, name in made]), strict=True):
        cell[name] = {"mean": facts.pop("difference")} | facts
    return table


def _row(arm: str, arms: Mapping[str, Runs], columns: Columns, resamples: int) -> Row:
    runs, row = arms[arm], {"arm": arm}
    for name, part in columns.parts.items():
        values = _items(runs, part)
        found = interval(np.array(list(values.values())), resamples)
        row[name] = found and asdict(found)
        for other in columns.against:
            if row[name] and other in arms and other != arm:
                test = _paired(values, _items(arms[other], part), resamples)
                row[name] |= {AGAINST + other: test} if test else {}
    row["seeds"] = [run[f"{which}/{columns.parts[SCORE]}"]["score"] for run, which in runs]
    row |= {
        name: fmean(values)
        for name in columns.shown
        if (values := [r[f"{w}/test"][name] for r, w in runs if name in r[f"{w}/test"]])
    }
    if any("best_step" in run for run, _ in runs):
        row["best_steps"] = [run["best_step"] for run, _ in runs]
        row["seconds"] = fmean(run["training_seconds"] for run, _ in runs)
    return row


def _items(runs: Runs, part: str) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for run, which in runs:
        for item, value in run[f"{which}/{part}"]["items"].items():
            values[item].append(value)
    return {item: fmean(held) for item, held in values.items()}


def paired_tests(
    said: Iterable[tuple[str, Mapping[str, float], Mapping[str, float]]], resamples: int
) -> list[Row]:
    """Return the tests of what was said before, on paired items, adjusted together (Holm).

    Args:
        said: In words, and the items of the one arm and of the other.
    """
    made = []
    for words, ours, theirs in said:
        if test := _paired(ours, theirs, resamples):
            made.append((words, test))
    return [
        {"hypothesis": words} | facts
        for (words, _), facts in zip(made, told([test for _, test in made]), strict=True)
    ]


def _paired(
    values: Mapping[str, float], other: Mapping[str, float], resamples: int
) -> Comparison | None:
    common = sorted(set(values) & set(other))
    if not common:
        return None
    ours, theirs = (np.array([held[item] for item in common]) for held in (values, other))
    return compare(ours, theirs, resamples)


def score_plot(table: Table, claim: Claim, base: str = BASE) -> Figure:
    """Draw, per question, the score of every arm and its change of what nobody trained."""
    longest = max(len(rows) for rows in table.values())
    figure = Figure(figsize=(12, 0.42 * longest * len(table) + 1.5), layout="constrained")
    axes = figure.subplots(len(table), 2, squeeze=False, width_ratios=(3, 2))
    for (question, rows), (left, right) in zip(table.items(), axes, strict=True):
        places = range(len(rows))[::-1]
        for place, row in zip(places, rows, strict=True):
            color = "#c2410c" if row["arm"].startswith(claim.highlighted) else "#1d4ed8"
            color = "#6b7280" if row["arm"] == base else color
            _dot(left, row[SCORE], place, color)
            left.plot(row["seeds"], [place] * len(row["seeds"]), "|", color=color, alpha=0.5)
            if row["arm"] != base and row[claim.untrained]:
                _dot(right, row[claim.untrained].get(AGAINST + base), place, color)
        left.set_yticks(places, [row["arm"] for row in rows])
        left.set(xlim=(0, 1), title=f"{question}: test score")
        title = claim.titles.get(claim.untrained, claim.untrained)
        right.set(title=f"{title}: change from {'the base' if base == BASE else base}")
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


def curve_plot(results: Sequence[Result]) -> Figure:
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


def svg(figure: Figure) -> str:
    """Return a figure as an element of a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def log_arms(results: Sequence[Result], run_id: str, parts: set[str]) -> None:
    """Make every arm a run of the kind `arm` below the stage's, with its curves."""
    client = mlflow.MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    for result in results:
        name = f"{result['question']} · {result['arm']} · seed {result['seed']}"
        facts = {name: str(result[name]) for name in ("question", "arm", "seed")}
        tags = {"mlflow.parentRunId": run_id, "kind": "arm"} | facts
        run = client.create_run(experiment, run_name=name, tags=tags)
        metrics = [
            Metric(metric_name(f"{part}/{name}"), value, 0, 0)
            for part in sorted(f"best/{part}" for part in parts)
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


def _flat(table: Table, columns: Columns) -> dict[str, list[Any]]:
    rows = [
        {
            "question": question, "arm": row["arm"], "score": row[SCORE]["mean"],
            "low": row[SCORE]["low"], "high": row[SCORE]["high"],
        }
        | {part: row[part] and row[part]["mean"] for part in columns.parts if part != SCORE}
        | {"seconds": row.get("seconds", 0.0)}
        for question, rows in table.items() for row in rows
    ]  # fmt: skip
    return {name: [row[name] for row in rows] for name in rows[0]}
