"""The score table as the page shows it: every cell with its verdict."""

from dataclasses import dataclass
from typing import Any

from tasks.benchmarks.comparison import BASE, OTHERS

LEVEL = 0.05  # adjusted p-values below count as a difference


@dataclass(frozen=True)
class Cell:
    """One policy on one task; all but the base also hold the paired difference to the base."""

    mean: float
    low: float
    high: float
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    smallest_seen: float | None = None

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `same` than the base; nothing for the base itself."""
        if self.p_adjusted is None or self.difference is None:
            return ""
        if not self.p_adjusted < LEVEL:
            return "same"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True)
class Line:
    """One task of the table."""

    task: str
    n: int
    majority: float
    cells: dict[str, Cell]

    @property
    def base(self) -> Cell:
        """What the chain started from."""
        return self.cells[BASE]

    @property
    def last(self) -> Cell:
        """What the chain ended with."""
        return list(self.cells.values())[-1]


@dataclass(frozen=True)
class Standings:
    """The whole table.

    Attributes:
        policies: The base first, then in the order of training.
        aims: Tasks that were trained for; they are the lines before the summary of all others.
    """

    policies: list[str]
    lines: list[Line]
    aims: list[str]

    @property
    def headline(self) -> list[Line]:
        """The aims, and the summary of what was not trained for."""
        return [line for line in self.lines if line.task in (*self.aims, OTHERS)]

    @property
    def tests(self) -> int:
        """How many comparisons with the base the table makes."""
        return sum(bool(cell.verdict) for line in self.lines for cell in line.cells.values())


def standings(table: list[dict[str, Any]]) -> Standings:
    """Read the rows of `table.json`."""
    policies: list[str] = []
    lines = []
    for row in table:
        cells = {name: Cell(**value) for name, value in row.items() if isinstance(value, dict)}
        policies += [name for name in cells if name not in policies]
        lines.append(Line(row["task"], row["n"], row["majority"], cells))
    tasks = [line.task for line in lines]
    aims = tasks[: tasks.index(OTHERS)] if OTHERS in tasks else tasks
    return Standings(policies, lines, aims)


def short(policy: str) -> str:
    """Return how a policy is called on the page.

    >>> short("base"), short("policy_grpo")
    ('base', 'GRPO')
    """
    return policy.removeprefix("policy_").upper() if policy.startswith("policy_") else policy
