"""Shows a data set as it is understood, before anything is trained on it.

python -m tasks.reading.preview FOLDER [NUMBER]
"""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.reading.checks import Seen, Unusable
from tasks.reading.dataset import checked
from tasks.reading.layouts import recognised
from tasks.reading.splits import Splits
from tasks.records.choosing import spread
from tasks.records.rows import Sample, read_summary
from tasks.running.errors import UserError, without_trace
from tasks.running.texts import markdown, printable

LOOKED_AT = 200  # records from which the samples are taken, some of every kind
LONGEST = 300  # characters of a text
SAMPLES_READ = "samples.md"  # in the folder of a stage that reads data


@dataclass(frozen=True)
class Preview:
    """What a data set is understood to be.

    Attributes:
        layout: What the folder is, in a few words.
        rows: Some samples, as names and values that can be shown; pictures by their number.
        set_aside: Why how many of the records that were looked at cannot be used.
        note: What will be done with the splits.
    """

    layout: str
    rows: list[dict[str, Any]]
    set_aside: dict[str, int]
    note: str

    def text(self) -> str:
        """Return it as text for a terminal."""
        lines = [f"layout: {self.layout}", *([self.note] if self.note else [])]
        for row in self.rows:
            lines.append("")
            lines += [f"{name:>9}: {value}" for name, value in row.items() if value not in ("", [])]
        if self.set_aside:
            lines += ["", f"set aside, of the first {LOOKED_AT} records:"]
            lines += [f"{number:>9}x {reason}" for reason, number in self.set_aside.items()]
        return printable("\n".join(lines))

    def markdown(self) -> str:
        """Return the samples and the reasons as tables of Markdown, in which all is text."""
        names = list(self.rows[0])
        lines = [_cells(names), "|---" * len(names) + "|"]
        lines += [_cells(str(value) for value in row.values()) for row in self.rows]
        if self.set_aside:
            lines += ["", "| set aside | because |", "|---|---|"]
            lines += [_cells((str(n), reason)) for reason, n in self.set_aside.items()]
        return "\n".join(lines)


def look(folder: Path, number: int = 10) -> Preview:
    """Read the first records of a data set.

    Raises:
        UserError: The folder is no data set, or none of these records can be used.
    """
    splits, seen, reasons = Splits(), Seen(), Counter[str]()
    layout, records = recognised(folder, splits)
    rows = []
    for _, source in islice(records, LOOKED_AT):
        try:
            rows.append(_row(checked(source, seen)[0]))
        except Unusable as reason:
            reasons[str(reason)] += 1
    if not rows:
        raise UserError(
            f"None of the first records in {folder} can be used",
            "; ".join(f"{n}x {reason}" for reason, n in reasons.most_common()) or "there is none",
            "mend the data, or choose another folder",
        )
    drawn = splits.late and "test" not in splits.parts
    note = "splits: no test part was seen; where there is none, dev and test pictures are drawn"
    shown = spread(rows, number, kind=lambda row: (row["split"], row["task"]))
    return Preview(layout, shown, dict(reasons), note if drawn else "")


def preview(folder: Path, number: int = 10) -> list[dict[str, Any]]:
    """Return some samples of a data set as they are understood; see `look`."""
    return look(folder, number).rows


def _cells(texts: Iterable[str]) -> str:
    return f"| {' | '.join(map(markdown, texts))} |"


def _row(sample: Sample) -> dict[str, Any]:
    return {
        "id": _short(sample.id),
        "split": sample.split,
        "task": _short(sample.task),
        "metric": sample.metric,
        "question": _short(sample.prompt),
        "answer": _short(sample.final if sample.metric == "final" else sample.answer),
        "label": _short(sample.label),
        "boxes": [[round(v, 1) for v in corners] for corners in sample.corners[:20]],
        "pictures": len(sample.images),
        "size": f"{sample.size[0]} x {sample.size[1]}" if sample.images else "",
    }


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def write_samples(out: Path) -> None:
    """Write ten records as a stage understood them, and what it set aside, for people to look at.

    Args:
        out: The stage's folder, with its summary.
    """
    found = replace(look(out), set_aside=read_summary(out)["set_aside"])
    (out / SAMPLES_READ).write_text(found.markdown())


if __name__ == "__main__":
    with without_trace():
        arguments = sys.argv[1:]
        if len(arguments) not in (1, 2) or not all(map(str.isdigit, arguments[1:])):
            sys.exit(__doc__)
        print(look(Path(arguments[0]), *map(int, arguments[1:])).text())
