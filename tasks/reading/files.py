"""Opens the files of a data folder; every reader opens files here and nowhere else.

A data set comes from someone else. What is opened is a regular file (no pipe, device or folder),
lies inside the folder after all links are followed, and is not larger than its kind may be.

Not covered: a hard link to a file outside (it is that file), and a program that changes a file
while it is read.
"""

import io
import json
import mmap
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tasks.reading.checks import BYTES_IN_ALL, Unusable
from tasks.running.errors import UserError

MB = 2**20
PICTURE = BYTES_IN_ALL  # a page scanned at 600 dpi without compression has 100 MB
LINE = 64 * MB  # a line of JSONL, or the JSON beside one picture; they hold no pictures
ANNOTATIONS = 4096 * MB  # LVIS has 1.1 GB
# Others (playlists, lists of files) make FFmpeg open what they name.
VIDEOS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpeg,mpegts,mpegvideo"
ADDRESS = re.compile(r"data:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Refused(Exception):
    """A file that is not opened; the message says why, and begins with `file` or `path`."""


class Missing(Refused):
    """There is no file of this name."""


class MissingFile(Unusable):
    """A record that is set aside as there is no file of the name it gives."""


class Outside(Refused):
    """The name or a link leads out of the data folder."""


def open_file(folder: Path, path: str | Path, limit: int | None = None) -> BinaryIO:
    """Open the file at `path` in `folder`, which may be as large as `limit` bytes.

    Raises:
        Refused: It is missing, outside, no regular file or too large, or cannot be opened.
    """
    try:
        root = folder.resolve()
        place = (folder / path).resolve()
        if not place.is_relative_to(root):
            raise Outside("path leaves the data folder")
        # before it is opened, as some devices act on being opened, and again on what was opened
        _check_kind(place.lstat())
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW
        number = os.open(place, flags)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing("file is missing") from error
    except (OSError, RuntimeError, ValueError) as error:  # over-long, a loop of links, a NUL byte
        raise Refused("file cannot be opened") from error
    file = os.fdopen(number, "rb", buffering=MB)
    try:
        opened = os.fstat(number)
        _check_kind(opened)
        if not _place_of(number, place).is_relative_to(root):
            raise Outside("path leaves the data folder")
        if limit is not None and opened.st_size > limit:
            raise Refused(f"file is larger than {limit // MB} MB")
    except BaseException:
        file.close()
        raise
    return file


def _check_kind(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Missing("file is missing: this is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise Refused("file is a pipe, a device or a socket")


def _place_of(number: int, otherwise: Path) -> Path:
    """Return where an open file lies; a link may have been put in its way since it was looked at.

    Systems without /proc cannot tell, and `otherwise` is returned.
    """
    try:
        return Path(os.readlink(f"/proc/self/fd/{number}"))
    except OSError:
        return otherwise


def read_file(folder: Path, path: str | Path, limit: int) -> bytes:
    """Return the content of a file.

    Raises:
        Refused: See `open_file`; or it grows while it is read.
    """
    with open_file(folder, path, limit) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            data = file.read(size + 1)
        except (OSError, MemoryError) as error:
            raise Refused("file cannot be read") from error
    if len(data) > size:
        raise Refused("file changes while it is read")
    return data


def read_record_file(folder: Path, path: str, kind: str, limit: int) -> bytes:
    """Return the content of the file that one record is about.

    Args:
        kind: What the file is, for the reason.

    Raises:
        Unusable: The file is refused, or `path` is an address.
    """
    if ADDRESS.match(path):
        raise Unusable(f"{kind} is an address; only files in the data folder are read")
    try:
        return read_file(folder, path, limit)
    except Missing as error:
        raise MissingFile(f"{kind} file is missing") from error
    except Refused as error:
        raise Unusable(f"{kind} {error}") from error


def content(folder: Path, value: Any, kind: str, limit: int) -> bytes:
    """Return the bytes of a file, given as a path or as `datasets` stores it undecoded.

    Args:
        kind: What the file is, for reasons.
        limit: Of what is read; bytes that are given are in memory already.

    Raises:
        Unusable: It is given otherwise, or the file is refused.
    """
    if isinstance(value, dict):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Unusable(f"{kind} is neither a path nor bytes")
    return read_record_file(folder, value, kind, limit)


def open_video(data: bytes) -> Any:
    """Open a video file that was read, as a container of PyAV.

    Raises:
        UserError: PyAV is not installed.
        Exception: It is none of `VIDEOS`, or damaged; FFmpeg raises anything.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            "This data set has video files, and PyAV is not installed",
            "it decodes them, and is an extra, as most data sets have none",
            'run `pip install "collimate[video]"`',
        ) from error
    options = {"format_whitelist": VIDEOS, "protocol_whitelist": "none"}
    return av.open(io.BytesIO(data), options=options)


def open_data(folder: Path, file: Path, limit: int | None = None) -> BinaryIO:
    """Open a file that holds the records themselves.

    Raises:
        UserError: It is refused.
    """
    try:
        return open_file(folder, file.relative_to(folder), limit)
    except Refused as error:
        raise _stop(folder, file, error) from error


def read_json(folder: Path, file: Path, limit: int, **options: Any) -> Any:
    """Parse a file that describes the records; `options` are those of `json.loads`.

    Raises:
        UserError: It is refused or is no JSON.
    """
    try:
        return json.loads(read_file(folder, file.relative_to(folder), limit), **options)
    except Refused as error:
        raise _stop(folder, file, error) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{file} is not JSON",
            f"it is damaged or something else ({str(error).rstrip('.')[:200]})",
            "download or write it again, or take it out of the folder",
        ) from error
    except MemoryError as error:
        raise UserError(
            f"{file} does not fit into memory",
            "what it describes is kept in memory while the records are read",
            "split it into several files, or use a machine with more memory",
        ) from error


def _stop(folder: Path, file: Path, error: Refused) -> UserError:
    if isinstance(error, Outside):
        return link_out(folder, file)
    return UserError(
        f"{file} cannot be read",
        f"the {error}",
        "write it again as a file that you may read, or take it out of the folder",
    )


def link_out(folder: Path, place: Path) -> UserError:
    """Return the message about a link that is not followed."""
    return UserError(
        f"{place} is a link that is not followed",
        "a data set may hold links to any place on this computer, so only what is in its folder is "
        "read",
        f"where you trust its links, copy what they stand for (`cp -rL {folder} copy`) and use the "
        "copy",
    )


def lines_in(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines of a file, and nothing for one that is longer than `LINE`."""
    while line := file.readline(LINE + 1):
        if len(line) <= LINE or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MB)
        yield None


def mapped(file: BinaryIO) -> mmap.mmap:
    """Return a file's bytes without reading them.

    Raises:
        ValueError: It is empty.
        OSError: It cannot be mapped.
    """
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
