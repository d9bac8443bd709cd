"""What Light-ColPali's experiment says: its table by set and density, its tests, its curves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from tasks.reproduction.arms import Result
from tasks.reproduction.outcome import SCORE, Claim, Columns, Runs, paired_tests
from tasks.reproduction.retrieval_arms import CONTROL, SHIPPED
from tasks.reproduction.retrieval_ways import FACTORS

ALL, WITH, WITHOUT = "all vectors", ", tuned with it", ", tuned without merging"
SETS = {"sparse pages": ("slides", "notes"), "dense pages": ("ledgers", "reports")}
TOGETHER = "all four sets"
COLUMNS = Columns(
    parts={SCORE: "test", "pool": "pooled"},
    against=(ALL, ALL + WITHOUT),
    shown=("recall@1", "recall@5", "pointing", "answers", "vectors", "bytes"),
)
CLAIM = Claim(
    "light_colpali",
    "Fewer vectors of a page",
    "The experiment behind Light-ColPali's claims, on the embedded default.",
    highlighted="clusters",
    untrained="pool",
    titles={"pool": "all pages as one corpus"},
)
# what was said before, or is only told: one way and the other
HYPOTHESES = (
    ("C1 clusters 9 with merging on lose to all vectors", "clusters 9" + WITH, ALL + WITHOUT),
    ("C1 … and clusters 49", "clusters 49" + WITH, ALL + WITHOUT),
    *((f"C2 clusters {f:g} beat {other}", f"clusters {f:g}", f"{other} {f:g}")
      for f in FACTORS for other in ("windows", "runs", "random pruning")),
    *((f"C3 merging on beats merged afterwards, at {f}", f"clusters {f}" + WITH,
       f"clusters {f}" + WITHOUT) for f in (9, 25, 49)),
    ("C3 … windows at 25", "windows 25" + WITH, "windows 25" + WITHOUT),
    ("told: random pruning against pruning by score, at 9", "random pruning 9",
     "pruning by score 9"),
    ("told: … and at 25", "random pruning 25", "pruning by score 25"),
    ("told: profiles against distances, at 25", "clusters 25", "clusters by distance 25"),
    ("told: clusters of states against those of vectors, at 9", "clusters of states 9",
     "clusters 9"),
    ("told: clusters 49 against one vector, both tuned", "clusters 49" + WITH,
     "one vector" + WITH),
)  # fmt: skip
LINES = ("clusters", "clusters by distance", "windows", "runs", "random pruning",
         "pruning by score", "pruning by attention")  # fmt: skip


def questions_of(results: Sequence[Result]) -> dict[str, dict[str, Runs]]:
    """Return the rows of the table: of all sets, of sparse and of dense ones, and of each set."""
    named = [r | {"arm": title(r)} for r in results]
    sets = list(dict.fromkeys(r["question"] for r in named))
    groups = {TOGETHER: tuple(sets)} | SETS | {name: (name,) for name in sets}
    return {group: _rows(named, some) for group, some in groups.items()}


def title(result: Result) -> str:
    """Return what a row is called: the way, and how the retriever was tuned."""
    arm = result["arm"]
    tuned = {SHIPPED.name: "", CONTROL.name: WITHOUT}.get(arm, WITH)
    return result["way"] + tuned


def _rows(results: Sequence[Result], sets: Sequence[str]) -> dict[str, Runs]:
    held: dict[str, dict[tuple, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for r in results:
        if r["question"] in sets:
            held[r["arm"]][r["seed"], r["draw"]].append(r)
    return {
        arm: [(_together(some), "best") for some in runs.values()] for arm, runs in held.items()
    }


def _together(some: Sequence[Result]) -> Result:
    """Return what several sets say together: as many questions of each."""
    merged: Result = {"arm": some[0]["arm"], "seed": some[0]["seed"]}
    for part in ("best/test", "best/pooled"):
        found = [r[part] for r in some]
        items = {id: value for one in found for id, value in one["items"].items()}
        names = [n for n in found[0] if n != "items" and all(n in one for one in found)]
        merged[part] = {n: fmean(one[n] for one in found) for n in names} | {
            "score": fmean(items.values()), "items": items,
        }  # fmt: skip
    return merged


def hypotheses(results: Sequence[Result], resamples: int) -> list[dict[str, Any]]:
    """Return the tests of what was said before, on paired questions, adjusted together (Holm)."""
    rows = questions_of(results)[TOGETHER]
    return paired_tests(
        ((words, _items(rows.get(ours, [])), _items(rows.get(theirs, [])))
         for words, ours, theirs in HYPOTHESES),
        resamples,
    )  # fmt: skip


def _items(runs: Runs) -> Mapping[str, float]:
    held: dict[str, list[float]] = defaultdict(list)
    for result, which in runs:
        for item, value in result[f"{which}/test"]["items"].items():
            held[item].append(value)
    return {item: fmean(values) for item, values in held.items()}


def plots(results: Sequence[Result]) -> dict[str, Figure]:
    """Draw nDCG@5 over the bytes of a page, of all sets, of sparse and of dense ones."""
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    rows = questions_of(results)
    axes = figure.subplots(1, 3, sharey=True)
    for (name, arms), axis in zip(list(rows.items())[:3], axes, strict=True):
        for line in LINES:
            _line(axis, arms, [f"{line} {f:g}" for f in FACTORS], line, "-")
        tuned = [f"clusters {f:g}" for f in FACTORS]
        _line(axis, arms, [one + WITH for one in tuned], "clusters, merging on", "--")
        _line(axis, arms, [one + WITHOUT for one in tuned], "clusters, merged afterwards", ":")
        _line(axis, arms, ["one vector" + WITH], "one vector, tuned", "")
        _line(axis, arms, [ALL], ALL, "")
        axis.set(title=name, xlabel="bytes of a page (float16)", xscale="log")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("nDCG@5")
    axes[-1].legend(fontsize=7)
    return {"memory": figure}


def _line(
    axis: Any, arms: Mapping[str, Runs], names: Sequence[str], words: str, style: str
) -> None:
    there = [arms[name] for name in names if name in arms]
    points = sorted(
        (fmean(r["best/test"]["bytes"] for r, _ in runs),
         fmean(r["best/test"]["score"] for r, _ in runs))
        for runs in there
    )  # fmt: skip
    if points:
        axis.plot(*zip(*points, strict=True), style + ("s" if not style else "o"), label=words)
