"""The measured tables of GCoT's page."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.tables import change, rows_beside, share, table

WHERE = "bench/gcot.json"
MOST = 16  # examples at which every arm was trained
KINDS = {"true": "true", "digit": "a number that is nowhere on the page",
         "cell": "another cell's value", "label": "another label"}  # fmt: skip
GCOT = "GCoT"


def arms(n: int, facts: Mapping[str, Any]) -> str:
    """Return what every arm answers with so many examples, and whether it says true facts."""
    rows = []
    for row in facts["table"][f"n = {n}"]:
        score, others = row["score"], row["others"]
        rows.append((
            row["arm"], share(score),
            *(change(score[f"against {other}"]) if f"against {other}" in score else "–"
              for other in ("base", GCOT)),
            share(row["faithful"]) if row.get("faithful") else "–",
            *(f"{100 * row[name]:.0f}" if name in row else "–"
              for name in ("relaxed", "fact_errors", "right_for_wrong_reasons")),
            change(others["against base"]) if others and "against base" in others else "–",
            f"{row['seconds']:.0f}" if "seconds" in row else "–",
        ))  # fmt: skip
    return table(
        ("learnt from", "right, %", "against zero-shot", "against GCoT", "faithful, %",
         "relaxed, %", "facts untrue, %", "right for wrong reasons, %", "the base's tasks",
         "core-s"), rows,
    )  # fmt: skip


def rounds(facts: Mapping[str, Any]) -> str:
    """Return what the rounds find, the means of six replicates."""
    rows = []
    for n, held in facts["rounds"].items():
        for number, counts in enumerate(held):
            rows.append((
                n, str(number), *(_percent(counts, name) for name in
                                  ("ratio", "held_out_ratio", "precision_proposed",
                                   "precision_verified")),
                f"{counts['new']:.1f}", f"{counts['lost']:.1f}",
            ))  # fmt: skip
    return table(
        ("examples", "round", "its own targets read back, %", "held-out pages, %",
         "boxes true as proposed, %", "as verified, %", "new", "lost"), rows,
    )  # fmt: skip


def kept(facts: Mapping[str, Any]) -> str:
    """Return which facts keep a box, by what is wrong with them."""
    crop, coordinates = facts["kept"]["crop"], facts["kept"]["coordinates"]
    rows = [
        (KINDS[kind], *(f"{100 * some[kind][0]:.0f} of {some[kind][1]}" if kind in some else "–"
                        for some in (crop, coordinates)))
        for kind in crop
    ]  # fmt: skip
    return table(("a fact that is", "keeps a box, % (crops)", "% (coordinates, n = 16)"), rows)


def hypotheses(facts: Mapping[str, Any]) -> str:
    """Return what was said before, and the difference that was found."""
    rows = [(row["hypothesis"], change(row)) for row in facts["hypotheses"]]
    return table(("said before", "difference in points"), rows)


def headline(facts: Mapping[str, Any]) -> str:
    """Return what stands in the README's table."""
    held, last = facts["kept"]["crop"], facts["rounds"][str(MOST)][-1]
    true, absent = (100 * held[kind][0] for kind in ("true", "digit"))
    return (
        f"boxes without annotation: {true:.0f} % of true facts get one, {absent:.0f} % of numbers "
        f"that are nowhere; {100 * last['precision_verified']:.0f} % point at the truth "
        f"({100 * last['precision_proposed']:.0f} % as proposed)"
    )


def _percent(counts: Mapping[str, float], name: str) -> str:
    return f"{100 * counts[name]:.0f}" if name in counts else "–"


TABLES = {
    **{f"GCoT, {n} examples": (WHERE, partial(arms, n)) for n in (8, 16, 64)},
    "rounds of GCoT": (WHERE, rounds),
    "facts that keep a box": (WHERE, kept),
    "hypotheses of GCoT": (WHERE, hypotheses),
    "headline of GCoT": (WHERE, headline),
    "locating and reading back": ("bench/grounding.json", rows_beside),
}
