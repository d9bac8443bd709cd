"""The measured tables of Light-ColPali's page."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.tables import change, share, table

WHERE, SEARCH = "bench/light_colpali.json", "bench/search.json"
ALL, WITH, WITHOUT = "all vectors", ", tuned with it", ", tuned without merging"
TOGETHER = "all four sets"
DENSITIES = ("sparse pages", "dense pages")
FACTORS = (4, 9, 25, 49)
KINDS = ("clusters", "clusters by distance", "windows", "runs", "random pruning",
         "pruning by score", "pruning by attention")  # fmt: skip


def tuned(facts: Mapping[str, Any]) -> str:
    """Return what every fine-tuned retriever finds, and what a page takes."""
    rows = []
    for row in facts["table"][TOGETHER]:
        if row["arm"] == ALL or row["arm"].endswith((WITH, WITHOUT)):
            score = row["score"]
            rows.append((
                row["arm"], share(score),
                change(score[f"against {ALL}{WITHOUT}"])
                if f"against {ALL}{WITHOUT}" in score else "–",
                *(_percent(_row(facts, name, row["arm"])["score"], "mean") for name in DENSITIES),
                share(row["pool"]) if "pool" in row else "–",
                *(_percent(row, name) for name in ("recall@1", "pointing", "answers")),
                f"{row['vectors']:.0f}", f"{row['bytes'] / 1024:.1f}",
            ))  # fmt: skip
    return table(
        ("stored, and tuned", "nDCG@5 × 100", "against all, tuned", "sparse", "dense",
         "one corpus of all", "first is right, %", "hottest patch in the fact's box, %",
         "value read from the crop, %", "vectors", "KB a page"), rows,
    )  # fmt: skip


def ways(group: str, facts: Mapping[str, Any]) -> str:
    """Return nDCG@5 of every way of storing, at every factor, by the retriever as it was."""
    held = {row["arm"]: row for row in facts["table"][group]}
    rows = [
        (kind, *(_percent(held[f"{kind} {f}"]["score"], "mean") if f"{kind} {f}" in held else "–"
                 for f in FACTORS))
        for kind in KINDS
    ]  # fmt: skip
    return table(("stored", *(f"{f} times fewer" for f in FACTORS)), rows)


def hypotheses(facts: Mapping[str, Any]) -> str:
    """Return what was said before, and the difference that was found."""
    rows = [(row["hypothesis"], change(row)) for row in facts["hypotheses"]]
    return table(("said before", "difference in points"), rows)


def headline(facts: Mapping[str, Any]) -> str:
    """Return what stands in the README's table."""
    whole = _row(facts, TOGETHER, ALL + WITHOUT)
    told = []
    for factor in (9, 49):
        row = _row(facts, TOGETHER, f"clusters {factor}{WITH}")
        kept = row["score"]["mean"] / whole["score"]["mean"]
        told.append(f"{100 * kept:.0f} % of it at {100 * row['bytes'] / whole['bytes']:.0f} %")
    return f"nDCG@5 {whole['score']['mean']:.2f}; " + ", ".join(told) + " of the memory"


def search(facts: Mapping[str, Any]) -> str:
    """Return what a search takes, side by side."""
    seconds, spread = facts["seconds"], facts["spread"]
    rows = [
        (arm, f"{1000 * seconds[arm]:.0f}", f"{1000 * low:.0f} – {1000 * high:.0f}",
         f"{seconds['exact'] / seconds[arm]:.2f}")
        for arm, (low, high) in spread.items()
    ]  # fmt: skip
    return table(("search of 5,000 pages", "ms, median", "least – most", "exact's over it"), rows)


def agreement(facts: Mapping[str, Any]) -> str:
    """Return how much faster ours are, and what they find."""
    memory = (facts["memory"]["after"] - facts["memory"]["before"]) / facts["bytes"]
    return (
        f"Exact search: {facts['exact_over_all_vectors']:.1f} times as fast as comparing all "
        f"vectors there, {facts['exact_over_merged']:.2f} times on the same merged ones, scores "
        f"{facts['scores_apart']:.0e} apart; it takes {memory:.2f} times the vectors' bytes. Fast "
        f"search: {facts['fast_over_merged']:.1f} times, with {facts['same_top_5']:.1%} of the "
        f"exact five best, and the same best page in {facts['same_first']:.0%} of the questions."
    )


def _row(facts: Mapping[str, Any], group: str, arm: str) -> Mapping[str, Any]:
    [row] = [row for row in facts["table"][group] if row["arm"] == arm]
    return row


def _percent(row: Mapping[str, Any], name: str) -> str:
    return f"{100 * row[name]:.1f}" if name in row else "–"


TABLES = {
    "retrievers": (WHERE, tuned),
    **{f"ways of storing, {group}": (WHERE, partial(ways, group))
       for group in (TOGETHER, *DENSITIES)},
    "hypotheses of Light-ColPali": (WHERE, hypotheses),
    "headline of Light-ColPali": (WHERE, headline),
    "search": (SEARCH, search),
    "what a search finds": (SEARCH, agreement),
}  # fmt: skip
