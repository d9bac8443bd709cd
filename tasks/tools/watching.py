"""Starts a program behind a wall and watches it from outside until it is gone.

What is true of a run is decided here: how it ended, how long it took, what it used. What the
program says is text, of which the beginning and the end are kept.
"""

import contextlib
import json
import marshal
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.tools import syscalls
from tasks.tools.walls import ENVIRONMENT, Start

TO_START = 60  # seconds that a wall may take to stand, on a machine with much to do
TO_END = 10  # seconds that what was killed may take to be gone; it is there to be waited for
TICK = 0.02  # seconds: how often its memory is looked at
ENOUGH = 16_000_000  # bytes; who writes more finds the pipe closed
TAIL = 4_000  # bytes: the end of what it wrote, where errors stand


@dataclass
class Ended:
    """How a run ended.

    Attributes:
        code: Its exit code, negative for the signal that ended it.
        reached: "s" when its locks were shut, "c" when it was compiled.
        overtime: It was stopped from outside.
        cpu: Seconds that it computed, its start included.
        memory: Bytes it held at most, seen every `TICK`.
    """

    code: int = 0
    reached: str = ""
    overtime: bool = False
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    text: "Text" = field(default_factory=lambda: Text(0))


class Text:
    """The beginning and the end of what a program writes.

    Args:
        most: How many bytes are kept of it.
    """

    def __init__(self, most: int):
        self.tail = min(TAIL, most // 4)
        self.first, self.room = bytearray(), most - self.tail
        self.last, self.length = bytearray(), 0

    def add(self, some: bytes) -> None:
        """Take what was written next."""
        self.length += len(some)
        taken = self.room - len(self.first)
        self.first += some[:taken]
        if taken < len(some):
            self.last = (self.last + some[taken:])[-self.tail :]

    def __str__(self) -> str:
        left_out = self.length - len(self.first) - len(self.last)
        notice = f"\n[{left_out} bytes left out]\n".encode() if left_out else b""
        return bytes(self.first + notice + self.last).decode("utf-8", "replace")


def watch(start: Start, code: bytes, rlimits: dict[str, int], seconds: float, text: int) -> Ended:
    """Run a program behind a wall and return how it ended; nothing of it is left then.

    Args:
        rlimits: Limits of the process, by the names of `resource`.
        seconds: After which it is stopped.
        text: How many bytes are kept of what it writes.
    """
    before, after = syscalls.filters()
    with contextlib.ExitStack() as stack:
        report, report_end = stack.enter_context(_pipe())
        status, status_end = stack.enter_context(_pipe())
        output, output_end = stack.enter_context(_pipe())
        told = {**start.told, "rlimits": rlimits, "filter": after, "report": report_end.fileno()}
        given = stack.enter_context(_in_memory(marshal.dumps((told, code))))
        first = stack.enter_context(_in_memory(before))
        places = {"SECCOMP": str(first.fileno()), "STATUS": str(status_end.fileno())}
        process = subprocess.Popen(
            [places.get(word, word) for word in start.command],
            stdin=given, stdout=output_end, stderr=output_end, env=ENVIRONMENT, cwd="/",
            pass_fds=(report_end.fileno(), first.fileno(), status_end.fileno()),
        )  # fmt: skip
        for end in (report_end, status_end, output_end):
            end.close()
        try:
            inner = 0 if "STATUS" in start.command else process.pid  # else it is told
            ended = _until_gone(process, inner, output, status, report, seconds, text)
        finally:
            if process.returncode is None:  # an interrupt came in between
                process.kill()
                process.wait()
        return ended


def _until_gone(
    process: subprocess.Popen, inner: int, output, status, report, seconds: float, most: int
) -> Ended:
    """Read what is written, look at the memory of `inner`, stop what takes too long.

    The time of a program begins when its locks are shut: on a busy machine that may take a while,
    for which it is not to blame.
    """
    ended = Ended(text=Text(most))
    began = time.monotonic()
    until = began + TO_START
    with contextlib.ExitStack() as stack:
        alive = os.pidfd_open(process.pid)
        stack.callback(os.close, alive)
        waiting = stack.enter_context(selectors.DefaultSelector())
        places = {"output": output, "status": status, "report": report, "alive": alive}
        for name, place in places.items():
            waiting.register(place, selectors.EVENT_READ, name)
        gone, told, handle = False, b"", None
        while not gone:
            for key, _ in waiting.select(TICK):
                if key.data == "output":
                    if not (some := os.read(output.fileno(), 65536)):
                        waiting.unregister(output)
                    ended.text.add(some)
                    if ended.text.length > ENOUGH:
                        waiting.unregister(output)
                        output.close()
                elif key.data == "status":
                    if not (some := os.read(status.fileno(), 4096)):
                        waiting.unregister(status)
                    told += some
                    if not inner and (inner := _inner(told)):
                        handle = stack.enter_context(_handle(inner))
                elif key.data == "report":
                    if not (some := os.read(report.fileno(), 16)):
                        waiting.unregister(report)
                    if some and not ended.reached:
                        began = time.monotonic()
                        until = began + seconds
                    ended.reached += some.decode()
                else:
                    gone = True
            ended.memory = max(ended.memory, _memory(inner))
            if time.monotonic() > until and not gone:
                if handle is not None and not ended.overtime:  # bubblewrap's end follows
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                else:
                    process.kill()
                ended.overtime, until = True, until + TO_END
        _, code, used = os.wait4(process.pid, 0)
        ended.seconds = time.monotonic() - began
        process.returncode = ended.code = os.waitstatus_to_exitcode(code)
        os.set_blocking(report.fileno(), False)
        with contextlib.suppress(BlockingIOError):  # nothing more was written
            ended.reached += os.read(report.fileno(), 16).decode()
        if not output.closed:
            _drain(output, ended.text)
    if ended.code > 128:  # as bubblewrap and shells tell of signals
        ended.code = 128 - ended.code
    ended.cpu = used.ru_utime + used.ru_stime
    return ended


def _drain(output, text: Text) -> None:
    """Read the rest; that the pipe ends tells that nobody is left who could write."""
    until = time.monotonic() + TO_END
    with selectors.DefaultSelector() as waiting:
        waiting.register(output, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0 and waiting.select(left):
            if not (some := os.read(output.fileno(), 65536)):
                return
            text.add(some)


def _inner(told: bytes) -> int:
    """Return the process behind bubblewrap, once bubblewrap has told it."""
    line, whole, _ = told.partition(b"\n")
    return int(json.loads(line)["child-pid"]) if whole else 0


def _memory(process: int) -> int:
    """Return how much a process has held at most, in bytes; 0 once it is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{process}/status") as f:
        return 1024 * int(f.read().split("VmHWM:")[1].split()[0])
    return 0


@contextlib.contextmanager
def _handle(process: int) -> Iterator[int | None]:
    """Yield what names a process even when its number is another's; None where it is gone."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple]:
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as one, os.fdopen(write, "wb", 0) as other:
        yield one, other


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator:
    with os.fdopen(os.memfd_create("given"), "r+b", 0) as file:
        file.write(data)
        file.seek(0)
        yield file
