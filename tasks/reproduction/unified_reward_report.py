"""Which rows the table of UnifiedReward's experiment has, and what they are compared with."""

from collections.abc import Sequence

from tasks.reproduction.arms import BASE, Result
from tasks.reproduction.outcome import SCORE, Claim, Columns, Runs

ALONE, RANDOM = "this task alone", "random"
COLUMNS = Columns(
    parts={SCORE: "test", "blind": "blind"},
    against=(BASE, ALONE, RANDOM),
    shown=("swap_consistency", "unreadable", "order_accuracy", "gap", "yield"),
)
CLAIM = Claim(
    "unified_reward",
    "One judge of four tasks, or four judges",
    "The experiment behind UnifiedReward's claims, on the embedded default.",
    highlighted="joint",
    untrained="blind",
    titles={"blind": "without pictures"},
)


def questions_of(results: Sequence[Result]) -> dict[str, dict[str, Runs]]:
    """Return the rows of the table, by the task that was asked about.

    The judge of that task alone has one name in all tables, so that each row is compared with it.
    """
    found: dict[str, dict[str, Runs]] = {}
    for result in results:
        title = _title(result["arm"], result["question"])
        found.setdefault(result["question"], {}).setdefault(title, []).append((result, "best"))
    return found


def _title(arm: str, task: str) -> str:
    own = f"{task} alone"
    return arm.replace(own, ALONE, 1) if arm.startswith(own) else arm
