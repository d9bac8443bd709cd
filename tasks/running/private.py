"""What belongs to its user alone: the folder of running state, servers' passwords, DVC's keys."""

import os
import secrets
from pathlib import Path

from tasks.running.errors import UserError
from tasks.running.surroundings import check_place

OWNERS_FOLDER, OWNERS_FILE = 0o700, 0o600
USER = "collimate"


def runtime(root: Path) -> Path:
    """Return `.runtime/` of a checkout, which nobody but its owner may open.

    It is made if it is missing. What DVC keeps of credentials is closed to others, too.

    Raises:
        UserError: It belongs to somebody else, or cannot be named in an address.
    """
    check_place(root)
    folder = root / ".runtime"
    folder.mkdir(mode=OWNERS_FOLDER, parents=True, exist_ok=True)
    for path, mode in ((folder, OWNERS_FOLDER), (root / ".dvc" / "config.local", OWNERS_FILE)):
        if path.exists():
            _close(path, mode)
    return folder


def new_password() -> str:
    """Draw user:password for servers that are about to start.

    Each start has its own: what a browser keeps for 127.0.0.1:4200 can be read by whoever listens
    there next.
    """
    return f"{USER}:{secrets.token_urlsafe(32)}"


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whoever could read the one of before."""
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNERS_FILE)
    with os.fdopen(handle, "w") as new:
        new.write(text)


def _close(path: Path, mode: int) -> None:
    facts = path.stat()
    if facts.st_uid != os.geteuid() and os.geteuid():
        raise UserError(
            f"{path} belongs to another user",
            "whoever owns it can change what runs here",
            "work in a checkout of your own, or give it to yourself with `chown`",
        )
    if facts.st_mode & 0o777 & ~mode:
        path.chmod(mode)
