"""Locks of a checkout: held by one process, gone with it however it ends, and naming it."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, Any

from tasks.private import OWNERS_FILE, runtime
from tasks.process import this_process


class Taken(Exception):
    """Another process holds the lock.

    Attributes:
        by: The process, as `tasks.process.this_process` names it; "" while it is still starting.
        what: What it does.
    """

    def __init__(self, noted: dict[str, Any]):
        self.by, self.what = str(noted.get("by", "")), str(noted.get("what", "a start"))
        self.since = str(noted.get("since", "just now"))
        super().__init__(self.what)

    def __str__(self) -> str:
        number = self.by.split()[1] if self.by else "?"
        return f"{self.what} (process {number}, since {self.since})"


def take(path: Path, what: str) -> IO[str]:
    """Take a lock in `.runtime/`, which other users cannot enter, until the file is closed.

    Args:
        what: Whoever comes too late is told this, since when, and the number of this process.

    Raises:
        Taken: Another process holds it.
    """
    runtime(path.parent.parent)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNERS_FILE), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        noted = file.read()
        file.close()
        raise Taken(_read(noted)) from None
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(json.dumps({"by": this_process(), "since": since, "what": what}))
    file.flush()
    return file


def _read(noted: str) -> dict[str, Any]:
    try:
        found = json.loads(noted)
    except ValueError:  # it has not noted itself yet
        return {}
    return found if isinstance(found, dict) else {}
