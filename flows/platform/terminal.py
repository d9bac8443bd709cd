"""What a flow shows in a terminal: a line per stage, and warnings that concern the user.

All else that stages and libraries say goes to Prefect and to `.runtime/logs/<stage>.log`.
"""

import json
import logging
from pathlib import Path

from prefect.logging.handlers import PrefectConsoleHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tasks.running.yaml_files import parsed

# a logged line that people should see although it is no warning: `extra=SHOWN`
SHOWN = {"shown": True}
WIDTH = 15  # of the longest name of a stage, and a space
DONE = {"ran": "✓", "restored": "✓", "skipped": "·"}


def only_what_matters() -> None:
    """Let Prefect's console show warnings and what is marked as shown, in plain words."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.addFilter(_matters)
            handler.setFormatter(_Plain())


def _matters(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or getattr(record, "shown", False)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = record.getMessage()
        return told if getattr(record, "shown", False) else f"{record.levelname.title()}: {told}"


def bar() -> Progress:
    """Return a bar below the log, for those who watch a terminal; elsewhere it shows nothing.

    It is drawn on the console of Prefect's log, so that neither writes over the other. That console
    knows none of rich's named styles.
    """
    logs = (h for h in logging.getLogger().handlers if isinstance(h, PrefectConsoleHandler))
    console = next((handler.console for handler in logs), None)
    plain = {"style": "grey37", "complete_style": "cyan", "finished_style": "cyan"}
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(pulse_style="cyan", **plain),
        MofNCompleteColumn(separator=" of "),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=console is None or not console.is_terminal,
    )


def line_of(stage: str, outcome: str, seconds: float, root: Path) -> str:
    """Return the line that a stage leaves: its time and the figures that matter, in words.

    `dvc.yaml` has those words, as `meta.told` of a stage; a figure that there is not is left out.
    """
    time = {"ran": f"{seconds / 60:.1f} min", "restored": "restored", "skipped": "unchanged"}
    told = [f"{DONE[outcome]} {stage:<{WIDTH}} {time[outcome]:>9}"]
    file = root / "outputs" / "metrics" / f"{stage}.json"
    found = json.loads(file.read_text()) if file.exists() and outcome != "skipped" else {}
    spec = parsed((root / "dvc.yaml").read_text())["stages"][stage]
    for words in spec.get("meta", {}).get("told", []) if found else []:
        try:
            told.append(words.format_map(found))
        except KeyError:
            continue
    return "  ".join(told)
