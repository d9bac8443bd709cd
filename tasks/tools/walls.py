"""The two walls: bubblewrap, and Landlock where namespaces are refused.

Behind both stand the same filter of system calls, the same limits of the process and the same
folder: `input.png`, which can be read, and `output.png`, which can be written. What differs is how
the rest of the machine disappears: bubblewrap gives the program namespaces of its own and a root
with nothing in it; Landlock takes away the rights to what stays in sight.
"""

import ctypes
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.running.errors import UserError
from tasks.tools.interpreter import INSIDE, Interpreter, interpreter

INPUT, OUTPUT = "input.png", "output.png"  # the only two names that a program has to know
WORK, PACKAGES = "/work", "/packages"  # behind bubblewrap
DEVICES = ("/dev/null", "/dev/urandom")
FLAGS = ("-s", "-S", "-P", "-B")  # no folder of the user's, of sites, of the script; no bytecode
# All that a program sees of an environment, and bubblewrap, too: `--clearenv` would leave what
# bubblewrap was started with in /proc/1/environ (containers/bubblewrap#725).
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1",
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1",
    "OPENCV_LOG_LEVEL": "SILENT",
}  # fmt: skip
# each lock by its name, so that `make attack` can take it away and see what notices
NAMESPACES: dict[str, tuple[str, ...]] = {
    "user namespace": ("--unshare-user", "--uid", "65534", "--gid", "65534"),
    "no further user namespaces": ("--disable-userns",),
    "pid namespace": ("--unshare-pid", "--as-pid-1"),
    "net namespace": ("--unshare-net",),
    "ipc namespace": ("--unshare-ipc",),
    "uts namespace": ("--unshare-uts", "--hostname", "sandbox"),
    "cgroup namespace": ("--unshare-cgroup",),
    "no capabilities": ("--cap-drop", "ALL"),
    "dies with its parent": ("--die-with-parent",),
    "new session": ("--new-session",),
}
READ_ONLY_ROOT: tuple[str, ...] = ("--remount-ro", "/")
# of Landlock: rights to files, by the version that brought them
READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
NET_RIGHTS, SCOPES = {4: 0b11}, {6: 0b11}  # bind and connect; abstract sockets and signals


@dataclass(frozen=True)
class Start:
    """How a run is started.

    Attributes:
        command: Its words; "SECCOMP" and "STATUS" stand for descriptors.
        told: What the first lines inside are told besides.
    """

    command: tuple[str, ...]
    told: dict[str, Any]


@dataclass(frozen=True)
class Wall:
    """A wall by its name, and how a run behind it is started: from its folder."""

    name: str
    start: Callable[[Path], Start]


def _bubblewrap(folder: Path) -> Start:
    if (program := shutil.which("bwrap")) is None:
        raise UserError(
            "bubblewrap is missing",
            "it gives a program namespaces of its own",
            "`apt-get install bubblewrap`",
        )
    here = interpreter()
    words = [program, *(word for words in NAMESPACES.values() for word in words)]
    for path in (here.program, here.library, *here.libraries):
        words += ["--ro-bind", str(path), str(path)]
    for covered in _foreign(here):
        words += ["--ro-bind", str(folder.parent / "empty"), str(covered)]
    for path in here.packages:
        words += ["--ro-bind", str(path), f"{PACKAGES}/{path.name}"]
    for device in DEVICES:
        words += ["--dev-bind", device, device]
    words += ["--ro-bind", str(INSIDE), "/inside.py"]
    words += ["--ro-bind", str(folder / INPUT), f"{WORK}/{INPUT}"]
    words += ["--bind", str(folder / OUTPUT), f"{WORK}/{OUTPUT}", "--chdir", WORK]
    words += [*READ_ONLY_ROOT, "--seccomp", "SECCOMP", "--json-status-fd", "STATUS"]
    words += ["--", str(here.program), *FLAGS, "/inside.py"]
    return Start(tuple(words), {"packages": PACKAGES, "parent": None, "landlock": None})


def _landlock(folder: Path) -> Start:
    version = landlock_version()
    if version < 1:
        raise UserError(
            "Landlock is missing",
            "this kernel was built or started without it",
            "use Linux 5.13 or later, with `landlock` among its `lsm=`",
        )
    here = interpreter()
    packages = folder.parent / "packages"
    read = [(path, READ_FILE) for path in here.libraries]
    read += [(path, READ_FILE | READ_DIR) for path in here.packages]
    # A right to a folder is one to all below it. To import from one it must be listed, which here
    # tells the names of other packages; their contents stay shut.
    read += [(here.library, READ_DIR), (packages, READ_DIR), (folder, READ_DIR)]
    for path in sorted(set(here.library.iterdir()) - set(_foreign(here))):
        read.append((path, READ_FILE | READ_DIR if path.is_dir() else READ_FILE))
    handled = (
        _rights(FILE_RIGHTS, version),
        _rights(NET_RIGHTS, version),
        _rights(SCOPES, version),
    )
    write = READ_FILE | WRITE_FILE | (TRUNCATE & handled[0])
    rules = [(folder / INPUT, READ_FILE), (folder / OUTPUT, write), *read]
    rules += [(Path("/dev/null"), READ_FILE | WRITE_FILE), (Path("/dev/urandom"), READ_FILE)]
    told = {
        "packages": str(packages), "parent": os.getpid(), "folder": str(folder),
        "landlock": (handled, [(str(path), access) for path, access in rules]),
    }  # fmt: skip
    return Start((str(here.program), *FLAGS, str(INSIDE)), told)


def _foreign(here: Interpreter) -> list[Path]:
    """Return what lies in the standard library's folder and does not belong to it."""
    named = [here.library / name for name in ("site-packages", "dist-packages")]
    return [path for path in named if path.is_dir()]


def _rights(by_version: dict[int, int], version: int) -> int:
    """Return the rights that this version of Landlock can take away."""
    return max((rights for since, rights in by_version.items() if since <= version), default=0)


def landlock_version() -> int:
    """Return the version of the kernel's Landlock; 0 or less where there is none."""
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))  # landlock_create_ruleset(VERSION)


BUBBLEWRAP, LANDLOCK = Wall("bubblewrap", _bubblewrap), Wall("landlock", _landlock)
