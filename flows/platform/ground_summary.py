"""What the flow `ground` ends with: right answers before and after, and where to look."""

import json
from pathlib import Path

from rich.table import Table

from flows.platform.stage import ROOT
from flows.platform.summary import print_ending, summary_console, won
from tasks.running.texts import markdown, one_line

COLUMNS = ("asked", "questions", "right", "right, all facts true", "after, compared with it")


def ground_scores(root: Path = ROOT) -> str:
    """Return the scores before and after as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in _rows(root)]
    return "\n".join(lines)


def print_ground_summary(root: Path, outcomes: dict[str, str]) -> None:
    """Print the scores before and after, the rounds, the cost and where to look."""
    console = summary_console()
    scores = Table(title="Held-out questions (* differs, Holm-adjusted p < 0.05)")
    for name in COLUMNS:
        scores.add_column(name, justify="left" if name == "asked" else "right")
    for row in _rows(root):
        scores.add_row(*map(one_line, row))
    console.print(scores)
    rounds = json.loads((root / "outputs" / "boxes" / "rounds.json").read_text())
    read = ", ".join(f"{row['verified']:.0f}" for row in rounds)
    console.print(f"Boxes read back by round: {read} of {rounds[-1]['proposed']:.0f} facts")
    print_ending(console, root, outcomes, "Report", "reasoning_page/index.html")


def ground_won(root: Path = ROOT) -> bool:
    """Return whether the model answers better than its start did, however that was asked."""
    return won([row["after"] for row in _table(root).values() if "after" in row])


def _rows(root: Path) -> list[tuple[str, ...]]:
    rows = []
    for name, row in _table(root).items():
        found, test = row["measures"], row.get("after")
        cells = [f"{found[key]:.2f}" if key in found else "–" for key in ("exact", "faithful")]
        told = ""
        if test:
            star = "*" if test["p_adjusted"] < 0.05 else ""
            told = f"{test['difference']:+.2f}{star} [{test['low']:+.2f}, {test['high']:+.2f}]"
        rows.append((name, f"{found['n']:.0f}", *cells, told))
    return rows


def _table(root: Path) -> dict:
    return json.loads((root / "outputs" / "reasoning" / "table.json").read_text())
