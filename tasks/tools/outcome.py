"""One program behind one wall, from its text to what came of it."""

import signal
from dataclasses import dataclass
from typing import Literal

from tasks.records.images import TOOLS_BYTES, BadPicture, check_from_tool
from tasks.running.errors import UserError
from tasks.running.texts import printable
from tasks.tools.folders import read_output, run_folder
from tasks.tools.walls import OUTPUT, Wall
from tasks.tools.watching import Ended, Text, watch

Status = Literal["ok", "invalid", "failed", "crashed", "time", "refused"]
LONGEST = 500_000  # bytes of a program; models write a few thousand
ROOM, LONGEST_REMARK = 400, 300  # bytes of what we say ourselves: what was left out, how it ended


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Attributes:
        cpu: Whole seconds of computing.
        seconds: In all, waiting included, from when its locks are shut.
        memory: Bytes of its address space, the interpreter and its libraries included.
        text: Bytes of what it says that come back.
    """

    cpu: int = 5
    seconds: float = 10
    memory: int = 10**9
    text: int = 20_000

    def of_process(self) -> dict[str, int]:
        """Return the limits that the kernel keeps, by their names."""
        return {
            "RLIMIT_AS": self.memory, "RLIMIT_CPU": self.cpu, "RLIMIT_FSIZE": TOOLS_BYTES,
            "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 64, "RLIMIT_NPROC": 0, "RLIMIT_STACK": 8 * 2**20,
            "RLIMIT_MEMLOCK": 0, "RLIMIT_MSGQUEUE": 0, "RLIMIT_SIGPENDING": 64,
        }  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of a program.

    Attributes:
        status: "ok": it ended by itself. "invalid": it is no program. "failed": it raised an error
            or ended with a code. "crashed": a signal ended it. "time": it was stopped. "refused":
            it ended by itself, and its output is no picture that is taken.
        text: What it said; behind it in brackets what is to be said of it.
        picture: PNG or JPEG, decoded once and found whole; None where it wrote none.
        seconds: From when its locks were shut to its end.
        memory: Bytes it held at most, seen every 20 ms.
        wall: The wall that held: "bubblewrap" or "landlock".
    """

    status: Status
    text: str
    picture: bytes | None
    seconds: float
    memory: int
    wall: str


def run_behind(wall: Wall, code: str | bytes, picture: bytes, limits: Limits) -> Outcome:
    """Run a program behind this wall; nothing that it does is an error of ours.

    Raises:
        UserError: The wall does not stand, so that nothing was run.
    """
    code = code.encode("utf-8", "surrogatepass") if isinstance(code, str) else code
    if len(code) > LONGEST:
        told = f"[a program of {len(code)} bytes is not run; {LONGEST} is the most]"
        return Outcome("invalid", told, None, 0.0, 0, wall.name)
    with run_folder(picture) as folder:
        start = wall.start(folder)
        ended = watch(start, code, limits.of_process(), limits.seconds, limits.text)
        if not ended.reached:
            raise UserError(
                f"The wall of {wall.name} could not be built, and no program was run",
                printable(str(ended.text)).strip()[-500:] or f"it ended with code {ended.code}",
                "see docs/tools.md for what it needs",
            )
        status, remark = _judged(ended, limits)
        written = None
        if status == "ok":
            try:
                if written := read_output(folder / OUTPUT, TOOLS_BYTES) or None:
                    check_from_tool(written)
            except (ValueError, BadPicture) as error:
                status, remark, written = "refused", str(error), None
    # what cannot be printed is spelt out, which takes up to ten times the room: cut again
    text = Text(limits.text - ROOM)
    text.add(printable(str(ended.text)).encode())
    said = str(text) + (f"\n[{printable(remark)[:LONGEST_REMARK]}]" if remark else "")
    return Outcome(status, said, written, ended.seconds, ended.memory, wall.name)


def _judged(ended: Ended, limits: Limits) -> tuple[Status, str]:
    """Return how a run ended, and what is to be said of it."""
    if "c" not in ended.reached and not ended.overtime and ended.code >= 0:
        return "invalid", "it is no program"
    if ended.overtime:
        return "time", f"stopped after {limits.seconds:g} s"
    # half: the kernel counts for its limit in ticks, which say more than it computed when many wait
    if ended.code == -signal.SIGKILL and ended.cpu >= limits.cpu / 2:
        return "time", f"stopped after {limits.cpu} s of computing"
    if ended.code < 0:
        name = signal.Signals(-ended.code).name if -ended.code in set(signal.Signals) else ""
        if "c" not in ended.reached:
            return "invalid", f"the compiler did not survive it ({name})"
        return "crashed", f"ended by a signal ({name})"
    return ("failed", f"ended with code {ended.code}") if ended.code else ("ok", "")
