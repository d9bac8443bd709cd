"""Runs what a stranger's file says in a child of this process, within bounds of time and memory."""

import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import Any


class BeyondBounds(Exception):
    """The work took more time or memory than it may, or its process died; the message says what."""


class Failed(Exception):
    """The work raised; the message is the error's first line with its kind in front."""


def bounded(work: Callable[[], Any], seconds: float, megabytes: int) -> Any:
    """Do `work` in a forked child and return its result, which must be what JSON can hold.

    A fork takes 10 to 40 ms here, a fresh interpreter with transformers ten seconds. The child has
    only the thread that forked: `work` is plain Python, or torch on the meta device. What it
    prints is lost, and standard input is empty.

    Args:
        megabytes: Address space that the child may take beyond what this process has.

    Raises:
        BeyondBounds: It took longer or more, or died.
        Failed: It raised something else.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(ours)
            _bind(megabytes)
            _send(theirs, _outcome(work))
        finally:
            os._exit(0)  # without handlers at exit, which belong to the parent
    os.close(theirs)
    try:
        told = json.loads(_receive(ours, time.monotonic() + seconds) or "null")
    finally:
        os.close(ours)
        os.kill(child, signal.SIGKILL)  # not yet waited for, so the number is still its own
        os.waitpid(child, 0)
    if told is None:
        raise BeyondBounds(f"it takes more than {seconds:g} seconds, or its process died")
    kind, value = told
    if kind == "memory":
        raise BeyondBounds(f"it takes more than {megabytes} MB of memory")
    if kind == "error":
        raise Failed(value)
    return value


def first_line(error: BaseException) -> str:
    """Return an error's first line, with the next one after a colon; its kind where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        return f"{lines[0]} {lines[1]}"
    return lines[0] if lines else type(error).__name__


def _bind(megabytes: int) -> None:
    with open("/proc/self/statm") as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    limit = present + megabytes * 2**20
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _outcome(work: Callable[[], Any]) -> str:
    try:
        return json.dumps(["value", work()])
    except MemoryError:
        return '["memory", ""]'
    except BaseException as error:  # a panic of a Rust library is no Exception
        return json.dumps(["error", f"{type(error).__name__}: {first_line(error)[:500]}"])


def _send(pipe: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(pipe, data) :]


def _receive(pipe: int, end: float) -> str:
    parts = []
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
        part = os.read(pipe, 2**16) if ready else b""
        if not ready:
            return ""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)
