r"""Reads corpora of passages: JSONL or Parquet, with rows of our own, of BEIR or of FlashRAG.

    {"id": "12", "title": "Blue triangle", "text": "The blue triangle is made in town 12."}
    {"_id": "12", "title": "Blue triangle", "text": "The blue triangle is made in town 12."}
    {"id": "12", "contents": "\"Blue triangle\"\nThe blue triangle is made in town 12."}

are one and the same passage. `contents` has the title in its first line, mostly in quotes, where it
has several. What cannot be used is set aside with its reason; what has no id is, as the place in a
file would name another passage as soon as a line comes or goes.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.reading.checks import TEXT, Unusable
from tasks.reading.files import LINE, MB, lines_in, open_data
from tasks.reading.tables import parquet_rows
from tasks.records.passages import Passage
from tasks.records.rows import PROSE
from tasks.running.errors import UserError
from tasks.running.texts import is_unicode

IDS, TEXTS = ("id", "_id"), ("text", "contents")
COLUMNS = (*IDS, "title", *TEXTS)
Row = dict[str, Any]


class PassageReader:
    """The passages of a corpus.

    Args:
        corpus: A file, or a folder of files; those are read in the order of their names.
        max_rejected_share: Of the rows; more that cannot be used are an error.

    Attributes:
        kept: How many passages there were so far.
        aside: What was set aside, by its name, with its reason.
    """

    def __init__(self, corpus: Path, max_rejected_share: float = 0.0):
        self.corpus, self.max_rejected_share = corpus, max_rejected_share
        self.kept = 0
        self.aside: list[dict[str, str]] = []
        self._folder = corpus if corpus.is_dir() else corpus.parent
        self._files = _files(corpus)

    def passages(self) -> Iterator[Passage]:
        """Yield the passages.

        Raises:
            UserError: After the last of them, if too many rows cannot be used; with all reasons.
        """
        seen: set[str] = set()
        for name, row in self._rows():
            try:
                if isinstance(row, Unusable):
                    raise row
                passage = _passage(row)
                if passage.id in seen:
                    raise Unusable("duplicate id")
            except Unusable as reason:
                self.aside.append({"id": name, "reason": str(reason), "source": "passages"})
                continue
            seen.add(passage.id)
            self.kept += 1
            yield passage
        self._refuse_too_many()

    def _rows(self) -> Iterator[tuple[str, Row | Unusable]]:
        """Yield the rows of all files, each with where it stands."""
        for file in self._files:
            if file.suffix == ".parquet":
                found = parquet_rows(self._folder, file, COLUMNS)
                for number, (row, odd) in enumerate(found, start=1):
                    yield f"{file.name}:{number}", odd or row
                continue
            with open_data(self._folder, file) as opened:
                for number, line in enumerate(lines_in(opened), start=1):
                    if line is None or line.strip():
                        yield f"{file.name}:{number}", _parsed(line)

    def _refuse_too_many(self) -> None:
        lost = len(self.aside)
        if lost > self.max_rejected_share * (self.kept + lost):
            reasons = Counter(one["reason"] for one in self.aside)
            raise UserError(
                f"{lost} of {self.kept + lost} rows of {self.corpus} are no passages",
                "; ".join(f"{n}x {why}" for why, n in reasons.most_common())
                + f" (the first: {self.aside[0]['id']})",
                f"mend the corpus, or raise `max_rejected_share` (now {self.max_rejected_share:g})",
            )


def _files(corpus: Path) -> list[Path]:
    """Return the files of a corpus.

    Raises:
        UserError: There are none.
    """
    if corpus.is_file() and corpus.suffix in (".jsonl", ".parquet"):
        return [corpus]
    if found := sorted([*corpus.glob("*.jsonl"), *corpus.glob("*.parquet")]):
        return found
    raise UserError(
        f"{corpus} is no corpus of passages",
        "it is neither a file of JSONL or Parquet nor a folder with some",
        "name the corpus; unpack it first if it is packed (.zip, .gz)",
    )


def _parsed(line: bytes | None) -> Row | Unusable:
    if line is None:
        return Unusable(f"line is longer than {LINE // MB} MB")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return Unusable("line is not JSON")
    return row if isinstance(row, dict) else Unusable("line is not a JSON object")


def _passage(row: Row) -> Passage:
    r"""Understand a row.

    Raises:
        Unusable: It is no passage.

    >>> _passage({"id": 7, "contents": '"Town"\nIt lies in land 5.'})
    Passage(id='7', title='Town', text='It lies in land 5.')
    """
    id, title, text = (_text(row, names) for names in (IDS, ("title",), TEXTS))
    if row.get("text") is None and not title and "\n" in text:
        title, _, text = text.partition("\n")
        title = title.strip().strip('"')
    if not id:
        raise Unusable("passage without an id")
    if not text.strip():
        raise Unusable("passage without a text")
    if len(id) > TEXT or max(len(title), len(text)) > PROSE:
        raise Unusable(f"id of more than {TEXT} characters, or text of more than {PROSE}")
    if not all(map(is_unicode, (id, title, text))):
        raise Unusable("text that is not Unicode")
    return Passage(id, title, text)


def _text(row: Row, names: tuple[str, ...]) -> str:
    """Return the first value that is there; of numbers whole ones only, as they are written."""
    value = next((row[name] for name in names if row.get(name) is not None), "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unusable(f"{' or '.join(names)} is neither text nor a whole number")
    return str(value)
