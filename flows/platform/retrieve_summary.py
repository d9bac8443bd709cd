"""What the flow `retrieve` ends with: how well questions find their page, and where to look."""

import json
from pathlib import Path

from rich.table import Table

from flows.platform.stage import ROOT
from flows.platform.summary import print_ending, summary_console
from tasks.running.texts import markdown, one_line

COLUMNS = ("questions of", "n", "nDCG@5", "recall@1", "recall@5", "unmerged nDCG@5")


def retrieve_scores(root: Path = ROOT) -> str:
    """Return how well questions find their page as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in _rows(root)]
    return "\n".join(lines)


def print_retrieve_summary(root: Path, outcomes: dict[str, str]) -> None:
    """Print how well questions find their page, what a page takes, the cost and where to look."""
    console = summary_console()
    scores = Table(title="Held-out questions")
    for name in COLUMNS:
        scores.add_column(name, justify="left" if name == COLUMNS[0] else "right")
    for row in _rows(root):
        scores.add_row(*map(one_line, row))
    console.print(scores)
    table = _table(root)
    told = f"{table['merged']['pages']} pages, {table['merged']['bytes_per_page']:,.0f} bytes each"
    if "unmerged" in table:
        told += f" (unmerged {table['unmerged']['bytes_per_page']:,.0f})"
    console.print(told)
    print_ending(console, root, outcomes, "Page", "retrieval_page/index.html")


def retriever_won(root: Path = ROOT) -> bool:
    """Return whether a later step than the start found held-out pages best."""
    looks = root / "outputs" / "retriever" / "looks.json"
    return looks.exists() and json.loads(looks.read_text())["kept"] > 0


def _rows(root: Path) -> list[tuple[str, ...]]:
    table = _table(root)
    rows = []
    for name, row in table["merged"]["sets"].items():
        whole = table.get("unmerged", {}).get("sets", {}).get(name, {})
        rows.append((
            name or "mean of the sets", f"{row['n']:.0f}",
            *(_cell(row.get(measure)) for measure in ("ndcg@5", "recall@1", "recall@5")),
            _cell(whole.get("ndcg@5")),
        ))  # fmt: skip
    return rows


def _cell(value: dict | float | None) -> str:
    if isinstance(value, dict):
        return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"
    return "–" if value is None else f"{value:.2f}"


def _table(root: Path) -> dict:
    return json.loads((root / "outputs" / "retrieval" / "table.json").read_text())
