"""The measured tables of ScaleCap's page."""

from collections.abc import Mapping
from typing import Any

from bench.tables import change, rows_beside, share, table

WHERE = "bench/scalecap.json"
MADE, LEARNT = "captions for pictures", "captions to learn from"
DRAFT, ALL, LONGER = "draft", "ScaleCap, all objects", "draft at equal length"


def captions(facts: Mapping[str, Any]) -> str:
    """Return what every arm's captions are worth, what they name, and what they cost."""
    rows = []
    for row in facts["table"][MADE]:
        spent = facts["cost"][row["arm"]]
        rows.append((
            row["arm"], share(row["score"]),
            *(change(row["score"][f"against {other}"])
              if f"against {other}" in row["score"] else "–" for other in (DRAFT, LONGER)),
            f"{100 * row['chair_i']:.1f}", *(_mean(row, part) for part in ("recall", "habit")),
            f"{spent['words']:.0f}", f"{spent['requests']:.1f}" if "requests" in spent else "–",
            f"{1000 * spent['seconds']:.0f}" if "seconds" in spent else "–",
        ))  # fmt: skip
    return table(
        ("captions", "answered from them, %", "against the draft", "against as long a draft",
         "CHAIR_I, %", "recall, %", "habit, %", "words", "requests", "core-ms"), rows,
    )  # fmt: skip


def learnt(facts: Mapping[str, Any]) -> str:
    """Return what the base describes after it has learnt from captions."""
    rows = [
        (
            row["arm"], share(row["score"]),
            change(row["score"]["against base"]) if "against base" in row["score"] else "–",
            f"{100 * row['chair_i']:.1f}", _mean(row, "recall"), _mean(row, "habit"),
        )
        for row in facts["table"][LEARNT]
    ]  # fmt: skip
    return table(
        ("learnt from", "answered from it, %", "against the base", "CHAIR_I, %", "recall, %",
         "habit, %"), rows,
    )  # fmt: skip


def ratings(facts: Mapping[str, Any]) -> str:
    """Return how well each way of rating tells true sentences from false ones, the best first."""
    dev = {_name(row): row for row in facts["options"]["dev"]}
    rows = [
        (
            _name(row), f"{row['auroc']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
            f"{dev[_name(row)]['auroc']:.3f}", f"{100 * row['false_kept']:.1f}",
        )
        for row in sorted(facts["options"]["test"], key=lambda row: -(row["auroc"] or 0))
    ]  # fmt: skip
    return table(
        ("rated by", "AUROC, test", "dev", "false sentences kept where 95 % of the true are, %"),
        rows,
    )


def hypotheses(facts: Mapping[str, Any]) -> str:
    """Return what was said before, and the difference that was found."""
    rows = [(row["hypothesis"], change(row)) for row in facts["hypotheses"]]
    return table(("said before", "difference in points"), rows)


def headline(facts: Mapping[str, Any]) -> str:
    """Return what stands in the README's table."""
    rows = {row["arm"]: row for row in facts["table"][MADE]}
    draft, all_objects = (rows[name]["score"]["mean"] for name in (DRAFT, ALL))
    habits = (rows[name]["habit"]["mean"] for name in (DRAFT, ALL))
    first, then = (f"{100 * value:.0f}" for value in habits)
    return (
        f"answered from the caption alone {100 * draft:.0f} → {100 * all_objects:.0f} %; "
        f"objects named from habit {first} → {then} %"
    )


def _name(row: Mapping[str, Any]) -> str:
    gap = {"logprob": "log-probability gap", "prob": "probability gap"}.get(row["gap"], row["gap"])
    return f"{gap}, {row['reduction']}{'' if row['weighted'] else ' of all words'}"


def _mean(row: Mapping[str, Any], part: str) -> str:
    return f"{100 * row[part]['mean']:.1f}" if row.get(part) else "–"


TABLES = {
    "captions for pictures": (WHERE, captions),
    "captions to learn from": (WHERE, learnt),
    "ratings": (WHERE, ratings),
    "hypotheses of ScaleCap": (WHERE, hypotheses),
    "headline of ScaleCap": (WHERE, headline),
    "rating and captioning": ("bench/caption.json", rows_beside),
}  # fmt: skip
