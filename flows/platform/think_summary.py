"""What the flow `think` ends with: right verdicts by way of judging, and where to look."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from flows.platform.stage import ROOT
from flows.platform.summary import print_ending, summary_console, won
from tasks.running.texts import markdown, one_line

COLUMNS = ("task", "way", "right", "same in both orders", "layout", "consistent", "tokens")


def think_scores(root: Path = ROOT) -> str:
    """Return what every way of judging is worth as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in _rows(root)]
    return "\n".join(lines)


def print_think_summary(root: Path, outcomes: dict[str, str]) -> None:
    """Print what every way of judging is worth, the cost and where to look."""
    console = summary_console()
    scores = Table(title="Held-out pairs judged right, both orders (* differs from the start)")
    for name in COLUMNS:
        scores.add_column(name, justify="left" if name in ("task", "way") else "right")
    for row in _rows(root):
        scores.add_row(*map(one_line, row))
    console.print(scores)
    print_ending(console, root, outcomes, "Sheet", "think_sheet/index.html")


def think_won(root: Path = ROOT) -> bool:
    """Return whether the judge that thinks beats its start on some task and loses on none."""
    return won(list(_sheet(root)["comparisons"].get("thinker", {}).values()))


def _rows(root: Path) -> list[tuple[str, ...]]:
    sheet = _sheet(root)
    rows = []
    for task in next(iter(sheet["measures"].values())):
        for way, by_task in sheet["measures"].items():
            row, test = by_task[task], sheet["comparisons"].get(way, {}).get(task, {})
            star = "*" if test.get("p_adjusted", 1.0) < 0.05 else ""
            cells = [f"{row[name]:.2f}" if name in row else "–"
                     for name in ("swap", "layout", "consistent")]  # fmt: skip
            rows.append((task.replace("_", " "), way, f"{row['diff']:.2f}{star}", *cells,
                         f"{row['tokens']:.0f}"))  # fmt: skip
    return rows


def _sheet(root: Path) -> dict[str, Any]:
    return json.loads((root / "outputs" / "think_answers" / "sheet.json").read_text())
