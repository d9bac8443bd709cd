"""What a chain ends with: the score table, the cost, and where to look."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.platform.stage import ROOT
from tasks.running.texts import markdown, one_line, printable

AIMS = ("find", "tell", "other tasks")
JUDGED = ("task", "n", "start", "judge", "same in both orders", "unreadable", "without pictures")
GROUPS = {"tested": "adapted to", "other": "may be forgotten"}


def chain_scores(root: Path = ROOT) -> str:
    """Return the scores of the whole chain as a Markdown table."""
    return score_table(json.loads((root / "outputs" / "benchmarks" / "table.json").read_text()))


def few_shot_scores(root: Path = ROOT) -> str:
    """Return the scores of a few-shot adaptation as a Markdown table."""
    lines = ["| questions | measure | start | adapted |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in _few_shot_rows(root)]
    return "\n".join(lines)


def print_few_shot_summary(root: Path, outcomes: dict[str, str]) -> None:
    """Print the scores of a few-shot adaptation, its cost and where to look."""
    console = summary_console()
    scores = Table(title="Held-out scores, before and after (* differs, Holm-adjusted p < 0.05)")
    for name in ("questions", "measure", "start", "adapted"):
        scores.add_column(name, justify="left" if name in ("questions", "measure") else "right")
    for row in _few_shot_rows(root):
        scores.add_row(*map(one_line, row))
    console.print(scores)
    probe = root / "outputs" / "reinforced" / "headroom.json"
    if probe.exists() and (told := json.loads(probe.read_text())["warning"]):
        console.print(f"Warning: {printable(told)}")
    print_ending(console, root, outcomes, "Report", "few_shot_page/index.html")


def _few_shot_rows(root: Path) -> list[tuple[str, str, str, str]]:
    table = json.loads((root / "outputs" / "perception" / "table.json").read_text())
    rows = []
    for group, found in table.items():
        start, adapted = (found["measures"][model] for model in ("start", "adapted"))
        for name in dict.fromkeys((*start, *adapted)):
            cells = [f"{held[name]:.3f}" if name in held else "–" for held in (start, adapted)]
            if test := found["comparisons"].get(name):
                cells[1] += f"{'*' if test['p_adjusted'] < 0.05 else ''}"
                around = f"[{test['low']:+.3f}, {test['high']:+.3f}]"
                seen = test["smallest_seen"]
                around += "" if seen is None else f", seen from {seen:.3f}"
                cells[1] += f" ({test['difference']:+.3f} {around})"
            rows.append((f"{GROUPS.get(group, group)}, n {found['n']}", name, *cells))
    return rows


def judge_scores(root: Path = ROOT) -> str:
    """Return how far the judge can be trusted as a Markdown table."""
    lines = [f"| {' | '.join(JUDGED)} |", "|---" * len(JUDGED) + "|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in _judge_rows(root)]
    return "\n".join(lines)


def print_judge_summary(root: Path, outcomes: dict[str, str]) -> None:
    """Print how far the judge can be trusted, what it preferred, its cost and where to look."""
    console = summary_console()
    scores = Table(title="Held-out pairs judged right, in both orders (* differs from the start)")
    for name in JUDGED:
        scores.add_column(name, justify="left" if name == "task" else "right")
    for row in _judge_rows(root):
        scores.add_row(*map(one_line, row))
    console.print(scores)
    for words in _sheet(root)["judge"]["below"]:
        console.print(f"Below the bar: {printable(words)}")
    print_ending(console, root, outcomes, "Sheet", "judge_sheet/index.html")


def judge_won(root: Path = ROOT) -> bool:
    """Return whether the judge beats its start on some task and loses on none."""
    return won(list(_sheet(root)["comparisons"].values()))


def _sheet(root: Path) -> dict[str, Any]:
    return json.loads((root / "outputs" / "judge_answers" / "sheet.json").read_text())


def _judge_rows(root: Path) -> list[tuple[str, ...]]:
    sheet = _sheet(root)
    rows = []
    for task, after in sheet["judge"]["tasks"].items():
        before = sheet["start"]["tasks"].get(task, {})
        test = sheet["comparisons"].get(task, {})
        star = "*" if test.get("p_adjusted", 1.0) < 0.05 else ""
        names = ("swap_consistency", "unreadable", "without_pictures/accuracy")
        cells = [f"{after[name]:.2f}" if name in after else "–" for name in names]
        first, then = (
            f"{held['accuracy']:.2f}" if "accuracy" in held else "–" for held in (before, after)
        )
        rows.append(
            (task.replace("_", " "), f"{after.get('n', 0):.0f}", first, then + star, *cells)
        )
    return rows


def score_table(rows: list[dict[str, Any]]) -> str:
    """Return the scores of all policies as a Markdown table."""
    policies = _policies(rows)
    lines = ["| task | n | majority | " + " | ".join(policies) + " |"]
    lines.append("|---" * (3 + len(policies)) + "|")
    for row in rows:
        cells = [_cell(row[policy]) for policy in policies]
        lines.append(
            f"| {markdown(row['task'])} | {row['n']} | {row['majority']:.2f} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def print_summary(root: Path, outcomes: dict[str, str]) -> None:
    """Print the scores, the cost of each stage and where to look."""
    outputs, console = root / "outputs", summary_console()
    rows = json.loads((outputs / "benchmarks" / "table.json").read_text())
    scores = Table(
        title="Held-out scores (* differs from base, Holm-adjusted p < 0.05; intervals: report)"
    )
    policies = _policies(rows)
    for name in ("task", "n", "majority", *policies):
        scores.add_column(name, justify="left" if name == "task" else "right")
    shown = [row for row in rows if row["task"] in AIMS or _differs(row, policies)]
    for row in shown:
        cells = [_cell(row[policy], row["task"] in AIMS) for policy in policies]
        style = "bold" if row["task"] in AIMS else None
        scores.add_row(
            one_line(row["task"]), str(row["n"]), f"{row['majority']:.2f}", *cells, style=style
        )
    console.print(scores)
    if left := len(rows) - len(shown):
        console.print(f"{left} other tasks do not differ from the base; the report has them.")
    if told := smallest_differences(rows):
        console.print(f"These differences would have been seen with a probability of 80 %: {told}")
    print_ending(console, root, outcomes, "Report", "report/index.html")


def smallest_differences(rows: list[dict[str, Any]]) -> str:
    """Say which difference of the last policy to the base could have been seen, by task.

    >>> smallest_differences([{"task": "find", "base": {}, "policy_dpo": {"smallest_seen": 0.1}}])
    'find 0.10'
    """
    last = _policies(rows)[-1]
    found = {row["task"]: row[last].get("smallest_seen") for row in rows if row["task"] in AIMS}
    return ", ".join(f"{printable(task)} {d:.2f}" for task, d in found.items() if d is not None)


def chain_won(root: Path = ROOT) -> bool:
    """Return whether the last policy beats the base somewhere and loses nowhere."""
    rows = json.loads((root / "outputs" / "benchmarks" / "table.json").read_text())
    return won([row[_policies(rows)[-1]] for row in rows])


def few_shot_won(root: Path = ROOT) -> bool:
    """Return whether an adapted model beats its start somewhere and loses nowhere."""
    table = json.loads((root / "outputs" / "perception" / "table.json").read_text())
    return won([test for found in table.values() for test in found["comparisons"].values()])


def won(tests: list[dict[str, float]]) -> bool:
    """Judge by paired tests, adjusted for their number; one that was not made counts for nothing.

    >>> won([{"difference": 0.4, "p_adjusted": 0.01}, {"difference": -0.1, "p_adjusted": 0.3}])
    True
    >>> won([{"difference": 0.4, "p_adjusted": 0.01}, {"difference": -0.1, "p_adjusted": 0.04}])
    False
    """
    sure = [test["difference"] for test in tests if test.get("p_adjusted", 1.0) < 0.05]
    return bool(sure) and min(sure) > 0


def _differs(row: dict[str, Any], policies: list[str]) -> bool:
    return any(row[policy].get("p_adjusted", 1.0) < 0.05 for policy in policies)


def summary_console() -> Console:
    """Return a console on which square brackets and colons in names mean nothing."""
    return Console(markup=False, emoji=False, highlight=False)


def _policies(rows: list[dict[str, Any]]) -> list[str]:
    return [name for name, entry in rows[0].items() if isinstance(entry, dict)]


def _cell(entry: dict[str, float], interval: bool = True) -> str:
    star = "*" if entry.get("p_adjusted", 1.0) < 0.05 else ""
    around = f" [{entry['low']:.2f}, {entry['high']:.2f}]" if interval else ""
    return f"{entry['mean']:.2f}{star}{around}"


def print_ending(
    console: Console, root: Path, outcomes: dict[str, str], name: str, page: str
) -> None:
    """Print what the stages cost, where the page is, and how to look at runs."""
    _print_cost(console, root, outcomes)
    console.print(f"{name + ':':<8} {root / 'outputs' / page}")
    console.print("Runs:    make up   (Prefect and MLflow in the browser)")


def _print_cost(console: Console, root: Path, outcomes: dict[str, str]) -> None:
    cost = Table(title="Cost")
    for name in ("stage", "this time", "minutes", "peak GB", "tokens", "money"):
        cost.add_column(name, justify="left" if name in ("stage", "this time") else "right")
    total = 0.0
    for stage, outcome in outcomes.items():
        file = root / "outputs" / "costs" / f"{stage}.json"
        if not file.exists():  # its result was made elsewhere, and came from DVC's cache or remote
            cost.add_row(stage, outcome, "–", "–", "–", "–")
            continue
        spent = json.loads(file.read_text())
        total += spent["seconds"]
        cost.add_row(
            stage, outcome, f"{spent['seconds'] / 60:.1f}", f"{spent['peak_memory_gb']:.1f}",
            f"{spent['tokens']:.0f}", f"{spent['money']:.2f}",
        )  # fmt: skip
    cost.add_row("all", "", f"{total / 60:.1f}", "", "", "", style="bold")
    console.print(cost)
