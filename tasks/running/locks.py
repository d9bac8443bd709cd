"""Locks of a checkout: held by one process, gone with it however it ends, and naming it."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tasks.running.errors import UserError
from tasks.running.private import OWNERS_FILE, runtime
from tasks.running.process import this_process

HOLDER = "COLLIMATE_CHAIN"  # variable: who holds the lock of chains, told to those it starts


class Taken(Exception):
    """Another process holds the lock.

    Attributes:
        by: The process, as `tasks.running.process.this_process` names it; "" while it is still
            starting.
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


@contextlib.contextmanager
def chain_lock(root: Path, what: str) -> Iterator[None]:
    """Keep other chains out of a checkout, however they are started, and let our own stages in.

    A flow, `make repro` and a stage of a plain `dvc repro` take one lock; a process that was
    started by its holder has it already.

    Raises:
        UserError: Another one is at work; the message says which.
    """
    try:
        lock = take(root / ".runtime" / "chain.lock", what)
    except Taken as taken:
        if taken.by and taken.by == os.environ.get(HOLDER):
            yield
            return
        raise UserError(
            f"Another chain is at work in this checkout: {taken}",
            "both would write params.yaml and the same outputs",
            "wait until it has ended, or cancel it; `git worktree add` makes room for two at once",
        ) from None
    before = os.environ.get(HOLDER)
    os.environ[HOLDER] = this_process()
    try:
        with lock:
            yield
    finally:
        del os.environ[HOLDER]
        if before:
            os.environ[HOLDER] = before


def _read(noted: str) -> dict[str, Any]:
    try:
        found = json.loads(noted)
    except ValueError:  # it has not noted itself yet
        return {}
    return found if isinstance(found, dict) else {}
