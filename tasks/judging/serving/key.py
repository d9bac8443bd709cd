"""Where a judge is asked on this machine, and the key that lets a client in.

>>> address(8010)
'http://127.0.0.1:8010'

A port of this machine is reached by every user on it and by every web page that its user opens.
Each start draws another key, as whoever listens at the port of a server that has ended is sent the
one of before.
"""

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from tasks.running.errors import UserError
from tasks.running.private import runtime, write_private

PORT = 8010
KEY = "COLLIMATE_JUDGE_KEY"  # variable; where it is not set, a file of the checkout has the key


def address(port: int = PORT) -> str:
    """Return where the judge at a port is asked; the API is below `/v1`."""
    return f"http://127.0.0.1:{port}"


def key_file(port: int) -> Path:
    """Return the file of a running server's key, which its owner alone can read."""
    return Path.cwd() / ".runtime" / f"judge_key-{port}"


def new_key(port: int) -> str:
    """Return the key of a server that is about to start, and leave it for its clients."""
    if known := os.environ.get(KEY):
        return known
    runtime(Path.cwd())
    key = secrets.token_urlsafe(32)
    write_private(key_file(port), key)
    return key


def key_of(where: str) -> str:
    """Return the key of the server at an address.

    Raises:
        UserError: It is not known here.
    """
    if known := os.environ.get(KEY):
        return known
    file = key_file(urlsplit(where).port or 80)
    if not file.exists():
        raise UserError(
            f"The key of the judge at {where} is not known",
            f"{KEY} is not set, and no server of this checkout has left {file.name} in .runtime/",
            f"start one with `make serve`, or set {KEY} to the key of another",
        )
    return file.read_text()
