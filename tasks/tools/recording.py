"""Keeps what servers answered, so that a search can be had again as it was.

A recording is a file of JSON lines, which are only ever added:

    {"key": "5f…", "at": "2026-11-29T12:00:00Z", "request": {"method": "GET", …}, "answer": {…}}
    {"key": "81…", "at": "2026-11-29T12:00:07Z", "request": {…}, "failed": "the server answers 500"}

Several processes may write it at the same time, a kill loses nothing but a line that was not whole,
and it is only read where nothing is added: it can be a file of DVC's cache. In memory are no
answers, but where they stand. Of two answers to one request the later one counts; a failure never
takes an answer's place.
"""

import fcntl
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.tools.fetching import Request


@dataclass(frozen=True)
class Recorded:
    """What a server said, or why it did not.

    Attributes:
        failed: "" where there is an answer.
    """

    answer: dict[str, Any]
    failed: str = ""


class Recording:
    """Answers of servers by request, in a file that need not be there yet."""

    def __init__(self, file: Path):
        self.file = file
        self._places: dict[str, tuple[int, int, bool]] = {}  # first byte, bytes, failed
        self._end = 0  # of what was looked at
        self._reading = threading.RLock()
        self._asking: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._look()

    def __len__(self) -> int:
        return len(self._places)

    @contextmanager
    def asking(self, request: Request) -> Iterator[None]:
        """Let one thread at a time ask for the same: the others find what it was told."""
        with self._reading:
            lock = self._asking[request.key]
        with lock:
            yield

    def get(self, request: Request) -> Recorded | None:
        """Return what is recorded of a request, by other processes, too."""
        with self._reading:
            if request.key not in self._places:
                self._look()
            if (place := self._places.get(request.key)) is None:
                return None
            with self.file.open("rb") as opened:
                opened.seek(place[0])
                row = json.loads(opened.read(place[1]))
        return Recorded(row.get("answer") or {}, row.get("failed", ""))

    def add(self, request: Request, recorded: Recorded, renew: bool = False) -> Recorded:
        """Record what a server said; returns what counts.

        That is the answer that another process has recorded meanwhile, where there is one: all who
        ask are told the same.

        Args:
            renew: It takes the place of an answer that is there.
        """
        row: dict[str, Any] = {
            "key": request.key, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": asdict(request),
        }  # fmt: skip
        row |= {"failed": recorded.failed} if recorded.failed else {"answer": recorded.answer}
        line = json.dumps(row).encode() + b"\n"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._reading, self.file.open("ab+") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            self._look()
            if not renew and (known := self.get(request)) and not known.failed:
                return known
            opened.write(line if self._ends_whole(opened.fileno()) else b"\n" + line)
            opened.flush()
            os.fsync(opened.fileno())
            self._look()
        return recorded

    def _look(self) -> None:
        """Note where the lines stand that were added since."""
        if not self.file.exists():
            return
        with self.file.open("rb") as opened:
            opened.seek(self._end)
            for line in opened:
                if not line.endswith(b"\n"):
                    break  # it is being written, or a kill has cut it
                self._note(line, self._end)
                self._end += len(line)

    def _note(self, line: bytes, first: int) -> None:
        try:
            row = json.loads(line)
            key, failed = row["key"], bool(row.get("failed"))
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # a kill has cut it
        known = self._places.get(key)
        if not (failed and known and not known[2]):
            self._places[key] = first, len(line), failed

    def _ends_whole(self, number: int) -> bool:
        size = os.fstat(number).st_size
        return not size or os.pread(number, 1, size - 1) == b"\n"
