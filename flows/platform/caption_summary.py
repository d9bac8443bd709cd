"""What the flow `caption` ends with: what the captions of each budget are worth."""

import json
from pathlib import Path

from rich.table import Table

from flows.platform.stage import ROOT
from flows.platform.summary import print_ending, summary_console
from tasks.running.texts import markdown, one_line

COLUMNS = ("caption", "words", "requests", "answered from it", "against the draft")


def caption_scores(root: Path = ROOT) -> str:
    """Return what captions are worth as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in _rows(root)]
    return "\n".join(lines)


def print_caption_summary(root: Path, outcomes: dict[str, str]) -> None:
    """Print what captions are worth, the cost and where to look."""
    console = summary_console()
    scores = Table(title="Captions for pictures (* differs, Holm-adjusted p < 0.05)")
    for name in COLUMNS:
        scores.add_column(name, justify="left" if name == "caption" else "right")
    for row in _rows(root):
        scores.add_row(*map(one_line, row))
    console.print(scores)
    print_ending(console, root, outcomes, "Report", "caption_page/index.html")


def _rows(root: Path) -> list[tuple[str, ...]]:
    outputs = root / "outputs"
    table = json.loads((outputs / "caption_answers" / "table.json").read_text())
    metrics = json.loads((outputs / "metrics" / "captions.json").read_text())
    budgets = [name.removesuffix("/words") for name in metrics if name.endswith("/words")]
    rows = []
    for arm in ("no caption", "draft", *budgets):
        row, told = table.get(arm), ""
        if row and (test := row.get("against_draft")):
            star = "*" if test["p_adjusted"] < 0.05 else ""
            told = f"{test['difference']:+.2f}{star} [{test['low']:+.2f}, {test['high']:+.2f}]"
        cells = [
            f"{metrics[f'{arm}/{name}']:.1f}" if f"{arm}/{name}" in metrics else "–"
            for name in ("words", "calls")
        ]
        score = f"{row['mean']:.2f}" if row else "–"
        rows.append((arm.replace("budget-", "objects: "), *cells, score, told))
    return rows
