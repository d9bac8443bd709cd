"""What all pages share: their templates, and how numbers are written."""

import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.reporting import gallery
from tasks.reporting.margins import wilson
from tasks.reporting.scores import short

EXAMPLES_PER_REASON = 5


class NotThere(StrictUndefined):
    """A value that a page names and nobody gave it: a fault of ours, and of no chat template."""

    def __init__(self, *told: Any, exc: type[Exception] = LookupError, **more: Any):
        super().__init__(*told, exc=LookupError, **more)


def environment() -> Environment:
    """Return the templates with the filters that write numbers."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # models write anything, also HTML
        undefined=NotThere,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "signed": lambda value: number(value, signed=True),
        "p": p_value,
        "percent": percent,
        "duration": duration,
        "words": lambda name: name.replace("_", " "),
        "short": short,
    }
    environment.globals |= {"sentence_marks": gallery.sentence_marks, "wilson": wilson}
    return environment


def examples_of_rejected(folder: Path) -> dict[str, list[str]]:
    """Return a few ids of the records that were set aside in a folder, by reason.

    >>> examples_of_rejected(Path("nowhere"))
    {}
    """
    file = folder / "rejected.parquet"
    by_reason: dict[str, list[str]] = {}
    for row in pq.read_table(file).to_pylist() if file.exists() else []:
        names = by_reason.setdefault(row["reason"], [])
        if len(names) < EXAMPLES_PER_REASON:
            names.append(row["id"])
    return by_reason


def number(value: float | None, signed: bool = False) -> str:
    """Write a score with two decimals; a dash where there is none.

    >>> number(0.314), number(-0.1, signed=True), number(None)
    ('0.31', '−0.10', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    rounded = round(value, 2) + 0.0  # adding zero makes -0.0 positive
    return f"{rounded:{'+' if signed else ''}.2f}".replace("-", "−")


def p_value(value: float) -> str:
    """Write a p-value.

    >>> p_value(0.0004), p_value(0.034), p_value(1.0)
    ('p < 0.001', 'p 0.034', 'p 1.00')
    """
    if value < 0.001:
        return "p < 0.001"
    return f"p {value:.3f}" if value < 0.1 else f"p {value:.2f}"


def percent(value: float | None) -> str:
    """Write a share.

    >>> percent(0.996), percent(None)
    ('99.6 %', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def duration(seconds: float | None) -> str:
    """Write a time span.

    >>> duration(4.2), duration(95), duration(5000)
    ('4 s', '1 min 35 s', '1 h 23 min')
    """
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
