"""What ScaleCap's experiment says: its table, its hypotheses, the curve, and what tells truth."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from models.statistics import interval
from tasks.reproduction.arms import BASE, Result
from tasks.reproduction.outcome import SCORE, Claim, Columns, Runs, paired_tests
from tasks.reproduction.scalecap_arms import (
    AGREED,
    ALL,
    ASKED_ONLY,
    BY_BUDGET,
    CONFIDENCE,
    DRAFT,
    LONGER,
    LOOKS,
    MADE,
    PLACES,
    RANDOM,
    RATED_ONLY,
    TRUE,
)

COLUMNS = Columns(
    parts={SCORE: "test", "absent": "absent", "recall": "recall", "habit": "habit"},
    against=(DRAFT, LONGER, BASE),
    shown=("chair_i", "chair_s"),
)
CLAIM = Claim(
    "scalecap",
    "Captions by budget: what is trusted, and what is asked",
    "The experiment behind ScaleCap's claim, on the embedded default.",
    highlighted="ScaleCap",
    untrained="absent",
    titles={
        "absent": "mentions that are not there", "recall": "objects named",
        "habit": "object of habit named where it is not",
    },
)  # fmt: skip
# what was said before: the part of the result, one arm and the other
HYPOTHESES = (
    ("H1 all objects beat the draft", "test", ALL, DRAFT),
    ("H1 … and a draft as long", "test", ALL, LONGER),
    ("H2 rating alone is not above the draft", "test", RATED_ONLY, DRAFT),
    ("H3 both sorts of questions beat looks alone", "test", ALL, LOOKS),
    ("H3 … and places alone", "test", ALL, PLACES),
    ("H4 rating says less that is not there", "absent", ALL, ASKED_ONLY),
    ("H4 … and loses little of what is there", "recall", ALL, ASKED_ONLY),
    ("H6 named objects beat random ones", "test", ALL, RANDOM),
)

# arms that the plot names, and where the name stands beside its point
LABELLED = {
    DRAFT: (14, -38), LONGER: (-20, 12), ALL: (4, -60), RANDOM: (-62, -30), AGREED: (6, 6),
    TRUE: (-6, -84),
}  # fmt: skip


def questions_of(results: Sequence[Result]) -> dict[str, dict[str, Runs]]:
    """Return the rows of the table, by what captions are for."""
    found: dict[str, dict[str, Runs]] = {}
    for result in results:
        arms = found.setdefault(result["question"], {})
        arms.setdefault(result["arm"], []).append((result, "best"))
    return found


def hypotheses(results: Sequence[Result], resamples: int) -> list[dict[str, Any]]:
    """Return the tests of what was said before, on paired items, adjusted together (Holm)."""
    return paired_tests(
        ((words, _items(results, ours, part), _items(results, theirs, part))
         for words, part, ours, theirs in HYPOTHESES),
        resamples,
    )  # fmt: skip


def curve(results: Sequence[Result], resamples: int) -> list[dict[str, Any]]:
    """Return the score by budget, with intervals over questions."""
    found = []
    for budget, arm in BY_BUDGET.items():
        items = _items(results, arm, "test")
        if items and (one := interval(np.array(list(items.values())), resamples)):
            found.append({"budget": budget, **vars(one)})
    return found


def cost(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Return the words, requests and core-seconds of an arm's caption, the means of its draws."""
    found: dict[str, dict[str, float]] = {}
    for arm in dict.fromkeys(r["arm"] for r in results if r["question"] == MADE):
        mine = [r["best/test"] for r in results if r["arm"] == arm and r["question"] == MADE]
        names = [name for name in ("words", "requests", "seconds") if name in mine[0]]
        found[arm] = {name: fmean(one[name] for one in mine) for name in names}
    return found


def plots(found: Mapping[str, Any], resamples: int) -> dict[str, Figure]:
    """Draw the score by budget, what is named, and how well each rating tells true sentences."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(3, 3, 4))
    _by_budget(left, found["results"], resamples)
    _named(middle, found["results"])
    _ratings(right, found["options"]["test"])
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    return {"curve": figure}


def _by_budget(axis: Any, results: Sequence[Result], resamples: int) -> None:
    rows = curve(results, resamples)
    places = range(len(rows))
    means = np.array([row["mean"] for row in rows])
    around = [means - [row["low"] for row in rows], [row["high"] for row in rows] - means]
    axis.errorbar(places, means, yerr=around, marker="o", capsize=3, color="#c2410c")
    for arm, style in ((DRAFT, ":"), (LONGER, "--")):
        if items := _items(results, arm, "test"):
            axis.axhline(np.mean(list(items.values())), linestyle=style, color="#6b7280", label=arm)
    axis.set_xticks(places, ["all" if row["budget"] < 0 else str(row["budget"]) for row in rows])
    axis.set(title="answered from the caption alone", xlabel="objects asked about", ylim=(0, 1))
    axis.legend(fontsize=8)


def _named(axis: Any, results: Sequence[Result]) -> None:
    arms = list(dict.fromkeys(r["arm"] for r in results if r["question"] == MADE))
    for arm in arms:
        recall, absent = (
            np.mean(list(_items(results, arm, part).values())) for part in ("recall", "absent")
        )
        ours = arm.startswith(CLAIM.highlighted)
        axis.plot(absent, recall, "o", color="#c2410c" if ours else "#1d4ed8")
        if arm in LABELLED:
            axis.annotate(
                arm, (absent, recall), fontsize=7, xytext=LABELLED[arm], textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": "#6b7280", "lw": 0.5},
            )  # fmt: skip
    axis.set(
        title="what is named", xlabel="mentions that are not there", ylabel="objects named",
        ylim=(0, 1.1),
    )  # fmt: skip


def _ratings(axis: Any, options: Sequence[Mapping[str, Any]]) -> None:
    rows = sorted((row for row in options if row["auroc"] is not None), key=lambda r: r["auroc"])
    for place, row in enumerate(rows):
        color = "#1d4ed8" if row["gap"] == CONFIDENCE else "#c2410c"
        axis.plot([row["low"], row["high"]], [place, place], color=color)
        axis.plot(row["auroc"], place, "o", color=color)
    words = [
        f"{row['gap']}, {row['reduction']}{'' if row['weighted'] else ', all words'}"
        for row in rows
    ]
    axis.set_yticks(range(len(rows)), words, fontsize=7)
    axis.set(title="AUROC (blue: confidence)", xlim=(0, 1))


def _items(results: Sequence[Result], arm: str, part: str) -> dict[str, float]:
    return {
        f"{result['seed']}/{item}": value
        for result in results if result["arm"] == arm and result["question"] == MADE
        for item, value in result[f"best/{part}"]["items"].items()
    }  # fmt: skip
