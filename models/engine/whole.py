"""Files and folders that are there whole, or as they were before: whatever moment a kill picks."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_whole(file: Path, content: bytes | str) -> None:
    """Write a small file so that who reads it finds the old content or the new, never a part."""
    with written_whole(file) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def written_whole(file: Path, keep: bool = False) -> Iterator[BinaryIO]:
    """Open a file beside `file` that takes its place once the block has ended well.

    Beside and not in $TMPDIR, which may be another file system: moving a file from one to another
    is a copy, and a kill in the middle of it leaves neither the old file nor the new one.

    Args:
        keep: Keep the former file as the one `before`.
    """
    beside = partial(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    discard(beside)  # a kill left it
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with open(os.open(beside, flags, 0o600), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        discard(beside)
        raise
    swap(file, keep)


def partial(path: Path) -> Path:
    """Return where a file or folder is while it is written.

    >>> partial(Path("scratch/last.ckpt")).name
    'last.ckpt.partial'
    """
    return path.with_name(f"{path.name}.partial")


def before(path: Path) -> Path:
    """Return where the former file or folder is.

    >>> before(Path("scratch/last.ckpt")).name
    'last-before.ckpt'
    """
    return path.with_name(f"{path.stem}-before{path.suffix}")


def swap(path: Path, keep: bool = False) -> None:
    """Put what is finished beside `path` into its place.

    With `keep`, `path` or the one `before` it is whole after every single step: a folder cannot
    replace another one, so the oldest is first moved out of the way, and deleted last.
    """
    former, oldest = before(path), partial(before(path))
    if keep and path.exists():
        discard(oldest)
        if former.exists():
            os.rename(former, oldest)
        os.rename(path, former)
    os.rename(partial(path), path)
    sync(path.parent)
    if keep:
        discard(oldest)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Give a damaged file or folder a name that nothing looks for, and return it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    os.rename(path, aside)
    return aside
