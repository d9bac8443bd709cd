"""What GCoT's experiment says: its table by number of examples, its hypotheses, its plots."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from models.statistics import interval
from tasks.reproduction.arms import BASE, Result
from tasks.reproduction.gcot_arms import (
    ANSWERS,
    CHAINS,
    EVERYWHERE,
    GCOT,
    ONE_PASS,
    OTHERS,
    REASONED,
    SIZE_OF_ALL_ARMS,
    UNVERIFIED,
)
from tasks.reproduction.outcome import SCORE, Claim, Columns, Runs, paired_tests

COLUMNS = Columns(
    parts={SCORE: "test", "faithful": "faithful", "others": "others"},
    against=(BASE, GCOT),
    shown=("relaxed", "facts", "fact_errors", "right_for_wrong_reasons"),
)
CLAIM = Claim(
    "gcot",
    "Few examples: chains of thought with boxes that were read back",
    "The experiment behind GCoT's claim, on the embedded default.",
    highlighted="GCoT",
    untrained="others",
    titles={
        "others": "the base's tasks", "faithful": "faithful", "fact_errors": "facts untrue",
        "right_for_wrong_reasons": "right for wrong reasons", "facts": "facts, ×100",
    },
)  # fmt: skip
HYPOTHESES = (
    ("H1 chains teach more than answers", CHAINS, ANSWERS),
    ("H2 boxes that were read back teach more than none", GCOT, CHAINS),
    ("H3 … than boxes as they were proposed", GCOT, UNVERIFIED),
    ("H4 … than boxes of other facts", GCOT, OTHERS),
    ("H5 three rounds no less than one pass", GCOT, ONE_PASS),
)
KINDS = {"true": "true", "digit": "nowhere on the page", "cell": "another cell's value",
         "label": "another label"}  # fmt: skip


def questions_of(results: Sequence[Result]) -> dict[str, dict[str, Runs]]:
    """Return the rows of the table, by the number of examples."""
    found: dict[str, dict[str, Runs]] = {}
    for result in results:
        arms = found.setdefault(result["question"], {})
        arms.setdefault(result["arm"], []).append((result, "best"))
    return found


def hypotheses(results: Sequence[Result], resamples: int) -> list[dict[str, Any]]:
    """Return the tests of what was said before, on paired questions, adjusted together (Holm)."""
    scores = {name: _scores(results, name, SIZE_OF_ALL_ARMS) for name in _arms(results)}
    return paired_tests(
        ((words, scores.get(ours, {}), scores.get(theirs, {}))
         for words, ours, theirs in HYPOTHESES),
        resamples,
    )  # fmt: skip


def by_round(banks: Sequence[Mapping[str, Any]], n: int, verify: str) -> list[dict[str, float]]:
    """Return the mean counts of every round over the replicates."""
    mine = [b["rounds"] for b in banks if b["n"] == n and b["verify"] == verify]
    return [
        {name: fmean(counts[name] for counts in some if name in counts) for name in some[0]}
        for some in zip(*mine, strict=True)
    ]


def kept_shares(banks: Sequence[Mapping[str, Any]], verify: str) -> dict[str, list[float]]:
    """Return the share of facts that keep a box and how many there are, by kind of slip."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for bank in banks:
        if bank["verify"] == verify:
            for kind, (kept, there) in bank["slips"].items():
                sums[kind][0] += kept
                sums[kind][1] += there
    return {kind: [sums[kind][0] / sums[kind][1], sums[kind][1]] for kind in KINDS if kind in sums}


def plots(found: Mapping[str, Any], resamples: int) -> dict[str, Figure]:
    """Draw accuracy by examples, boxes by round, and what keeps a box."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _by_examples(left, found["results"], resamples)
    rounds = by_round(found["banks"], SIZE_OF_ALL_ARMS, "crop")
    for name, words in (("ratio", "its own targets"), ("held_out_ratio", "held-out pages"),
                        ("precision_verified", "verified that are true"),
                        ("precision_proposed", "proposed that are true")):  # fmt: skip
        middle.plot([counts.get(name, np.nan) for counts in rounds], "o-", label=words)
    middle.set(title=f"boxes by round, n = {SIZE_OF_ALL_ARMS}", xlabel="round", ylim=(0, 1))
    shares = {way: kept_shares(found["banks"], way) for way in ("crop", "coordinates")}
    for place, (way, kept) in enumerate(shares.items()):
        at = np.arange(len(kept)) + 0.38 * place
        right.barh(at, [share for share, _ in kept.values()], 0.36, label=f"read back by {way}")
    right.set_yticks(np.arange(len(shares["crop"])) + 0.19, [KINDS[k] for k in shares["crop"]])
    right.invert_yaxis()
    right.set(title="facts that keep a box", xlim=(0, 1))
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return {"rounds": figure}


def _by_examples(axis: Any, results: Sequence[Result], resamples: int) -> None:
    sizes = sorted({int(r["question"].removeprefix("n = ")) for r in results})
    for arm in (BASE, REASONED, *EVERYWHERE):
        there = [n for n in sizes if _scores(results, arm, n)]
        held = [np.array(list(_scores(results, arm, n).values())) for n in there]
        found = [one for values in held if (one := interval(values, resamples))]
        if not found:
            continue
        means = np.array([one.mean for one in found])
        if len(there) == 1:
            axis.axhline(means[0], linestyle=":", color="#6b7280", label=arm)
            continue
        around = [means - [one.low for one in found], [one.high for one in found] - means]
        axis.errorbar(there, means, yerr=around, marker="o", capsize=3, label=arm)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, map(str, sizes))
    axis.set(title="right answers", xlabel="examples", ylim=(0, 1))


def _scores(results: Sequence[Result], arm: str, n: int) -> dict[str, float]:
    return {
        item: value
        for r in results if r["arm"] == arm and r["question"] == f"n = {n}"
        for item, value in r["best/test"]["items"].items()
    }  # fmt: skip


def _arms(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(r["arm"] for r in results))
