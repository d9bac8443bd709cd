"""Folders of runs: one for each, gone with it; those of a killed process go with the next start."""

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tasks.tools.interpreter import interpreter
from tasks.tools.walls import INPUT, OUTPUT

NAME, NEW = "collimate-sandbox-", "collimate-new-"


@contextlib.contextmanager
def run_folder(picture: bytes) -> Iterator[Path]:
    """Yield a folder with a picture to read and an empty file to write."""
    folder = Path(tempfile.mkdtemp(dir=root(os.getpid())))
    try:
        (folder / INPUT).write_bytes(picture)
        (folder / OUTPUT).touch(mode=0o600)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def root(process: int) -> Path:
    """Return this process's own folder, under which those of its runs are.

    Its lock is the folder itself: it is held as long as the process lives, however it ends.
    """
    clear_away()
    new = Path(tempfile.mkdtemp(prefix=NEW))
    fcntl.flock(os.open(new, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
    (new / "empty").mkdir()
    (new / "packages").mkdir()
    for package in interpreter().packages:
        (new / "packages" / package.name).symlink_to(package)
    # only now: what is called so and is not locked is nobody's
    folder = new.rename(new.with_name(NAME + new.name.removeprefix(NEW)))
    atexit.register(_remove, folder, process)
    return folder


def clear_away() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{NAME}*"):
        with contextlib.suppress(OSError):
            place = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if os.fstat(place).st_uid == os.geteuid():
                    fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(place)


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a fork has the same list of what to do at its end
        shutil.rmtree(folder, ignore_errors=True)


def read_output(path: Path, most: int) -> bytes:
    """Return what a program has written, if it is an ordinary file and not too large.

    Raises:
        ValueError: Something else lies in its place.
    """
    try:
        place = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"its output cannot be opened: {os.strerror(error.errno or 0)}") from None
    try:
        facts = os.fstat(place)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise ValueError("its output is no file of its own")
        if facts.st_size > most:
            raise ValueError(f"its output has {facts.st_size} bytes, {most} is the most")
        with os.fdopen(place, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(place)
