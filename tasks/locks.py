"""Locks of a checkout: held by one process, gone with it however it ends, and naming it."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO


class Taken(Exception):
    """Another process holds the lock; `holder` is what it noted about itself."""

    def __init__(self, holder: dict[str, str | int]):
        super().__init__(holder)
        self.holder = {"process": "?", "what": "what is still starting"} | holder


def take(path: Path, what: str) -> IO[str]:
    """Take a lock, which is held until the returned file is closed.

    Args:
        what: Whoever comes too late is told this and the number of this process.

    Raises:
        Taken: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Taken(json.loads(path.read_text() or "{}")) from None
    file.truncate(0)
    file.write(json.dumps({"process": os.getpid(), "what": what}))
    file.flush()
    return file
