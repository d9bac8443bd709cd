"""The measured tables of UnifiedReward-Think's page."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.tables import change, share, table

WHERE = "bench/unified_reward_think.json"
DIRECT, LONGER, THINKER = "direct", "direct, as many steps", "thinker"
TOGETHER = "all pairs"
TASKS = ("image_generation", "image_understanding")


def judges(question: str, facts: Mapping[str, Any]) -> str:
    """Return what every judge is right about, and what its verdicts cost."""
    rows = []
    for row in facts["table"][question]:
        score = row["score"]
        rows.append((
            row["arm"], share(score),
            *(change(score[f"against {other}"]) if f"against {other}" in score else "–"
              for other in (DIRECT, LONGER)),
            " / ".join(_percent(row, f"diff_margin_{n}") for n in (1, 2, 3)),
            _percent(row, "swap"), f"{row['tokens']:.0f}", f"{1000 * row['seconds']:.0f}",
            f"{row['training']:.0f}" if row.get("training") else "–",
        ))  # fmt: skip
    return table(
        ("judge", "right, both orders, %", "against direct", "against as many steps",
         "1 / 2 / 3 facts apart", "same in both orders, %", "tokens", "core-ms", "core-s to train"),
        rows,
    )  # fmt: skip


def traces(facts: Mapping[str, Any]) -> str:
    """Return what the traces of every judge that writes some are worth."""
    names = ("layout", "consistent", "wrong_sum", "cells", "follows", "with_true_scores", "voted")
    rows = []
    for row in facts["table"][TOGETHER]:
        if "layout" in row:
            rows.append((row["arm"], *(_percent(row, name) for name in names),
                         f"{row['cell_error']:.2f}"))  # fmt: skip
    return table(
        ("judge", "layout kept, %", "consistent, %", "wrong sums, %", "scores exact, %",
         "follows exchanged scores, %", "right after true scores, %", "right by five votes, %",
         "error of a score"), rows,
    )  # fmt: skip


def hypotheses(facts: Mapping[str, Any]) -> str:
    """Return what was said before, and the difference that was found."""
    rows = [(row["hypothesis"], change(row)) for row in facts["hypotheses"]]
    return table(("said before", "difference in points"), rows)


def pilot(facts: Mapping[str, Any]) -> str:
    """Return what the pilot's judges are right about, on dev."""
    names = ("diff", "layout", "cells", "headroom/greedy", "headroom/best_of",
             "headroom/zero_variance")  # fmt: skip
    rows = [
        (row["arm"], row["task"].replace("_", " "), *(_percent(row, name) for name in names))
        for row in facts["pilot"] if row["task"] != TOGETHER
    ]  # fmt: skip
    return table(
        ("judge", "dev pairs", "right, %", "layout kept, %", "scores exact, %", "greedy, %",
         "best of 8, %", "groups alike, %"), rows,
    )  # fmt: skip


def headline(facts: Mapping[str, Any]) -> str:
    """Return what stands in the README's table."""
    rows = {row["arm"]: row for row in facts["table"][TOGETHER]}
    told = (
        f"{name} {100 * rows[name]['score']['mean']:.0f} %" for name in (DIRECT, LONGER, THINKER)
    )
    return f"held-out pairs, both orders: {', '.join(told)}"


def _percent(row: Mapping[str, Any], name: str) -> str:
    return f"{100 * row[name]:.0f}" if name in row else "–"


TABLES = {
    "judges that think": (WHERE, partial(judges, TOGETHER)),
    **{f"judges that think, {task}": (WHERE, partial(judges, task)) for task in TASKS},
    "traces of judges": (WHERE, traces),
    "hypotheses of UnifiedReward-Think": (WHERE, hypotheses),
    "pilot of UnifiedReward-Think": (WHERE, pilot),
    "headline of UnifiedReward-Think": (WHERE, headline),
}
