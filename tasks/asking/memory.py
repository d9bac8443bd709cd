"""Remembers answers across kills, stages and chains, in one SQLite file.

An answer is kept as soon as it is there. A process that is killed loses none of those before, a
second one may read and write at the same time, and no more than what is asked for is in memory.
"""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = "answers.db"
MOST = 4_000_000  # answers; of a few hundred bytes each. The oldest are let go beyond
KEYS_AT_ONCE = 500
TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, number INTEGER NOT NULL, answer TEXT NOT NULL,
    UNIQUE (key, number)
)
"""


class Memory:
    """Answers by key and number.

    Args:
        folder: Where its file is, or is made.
        most: Answers; beyond, the oldest are let go.
    """

    def __init__(self, folder: Path, most: int = MOST):
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / FILE
        self._database = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        # a kill loses nothing; a power failure may lose the last answers, never the file
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(TABLES)
        self._database.execute(
            "DELETE FROM answers WHERE id <= (SELECT max(id) FROM answers) - ?", (most,)
        )

    def known(self, keys: Sequence[bytes]) -> dict[bytes, list[Any]]:
        """Return what is remembered of each key, by number and without a gap."""
        found: dict[bytes, list[Any]] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            rows = self._database.execute(
                "SELECT key, number, answer FROM answers "
                f"WHERE key IN ({', '.join('?' * len(some))}) ORDER BY key, number",
                some,
            )
            for key, number, answer in rows:
                held = found.setdefault(key, [])
                if number == len(held):
                    held.append(json.loads(answer))
        return found

    def add(self, key: bytes, first: int, answers: Sequence[Any]) -> None:
        """Remember answers to a key, the first of which has this number."""
        rows = [(key, first + i, json.dumps(answer)) for i, answer in enumerate(answers)]
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT OR REPLACE INTO answers (key, number, answer) VALUES (?, ?, ?)", rows
            )

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
