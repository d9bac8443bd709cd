"""What the kernel says of a program's locks, seen from outside while it runs."""

import contextlib
import fcntl
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tasks.tools import walls
from tasks.tools.outcome import Limits, run_behind
from tasks.tools.walls import Wall

NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup", "mnt")
NS_GET_PARENT = 0xB702
NAMES = {
    "RLIMIT_AS": "Max address space", "RLIMIT_CPU": "Max cpu time",
    "RLIMIT_FSIZE": "Max file size", "RLIMIT_CORE": "Max core file size",
    "RLIMIT_NOFILE": "Max open files", "RLIMIT_NPROC": "Max processes",
    "RLIMIT_STACK": "Max stack size", "RLIMIT_MEMLOCK": "Max locked memory",
    "RLIMIT_MSGQUEUE": "Max msgqueue size", "RLIMIT_SIGPENDING": "Max pending signals",
}  # fmt: skip
EXPECTED = Limits().of_process()  # before anybody takes one away
NEVER_ENDS = "import ctypes; ctypes.CDLL(None).prctl(1, 0)\nwhile True: pass"


@contextlib.contextmanager
def sleeping(wall: Wall) -> Iterator[psutil.Process]:
    """Yield the process of a program that waits behind this wall."""
    code = "import time; print('asleep', flush=True); time.sleep(60)"
    thread = threading.Thread(target=run_behind, args=(wall, code, b"", Limits()))
    thread.start()
    try:
        yield _wait_for_it()
    finally:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "inside" in " ".join(process.cmdline()):
                    process.kill()
        thread.join()


def _wait_for_it() -> psutil.Process:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                words = process.cmdline()
                inside = words and "python" in words[0] and words[-1].endswith(".py")
                if inside and _sleeps(process.pid):
                    return process
        time.sleep(0.02)
    raise TimeoutError("no program came to its sleep")


def _sleeps(process: int) -> bool:
    """Return whether a process is in clock_nanosleep, by its number on x86-64 or ARM."""
    return Path(f"/proc/{process}/syscall").read_text().split()[0] in ("230", "115")


def open_locks(process: psutil.Process, wall: Wall) -> list[str]:
    """Return the locks that are not shut, by what the kernel tells; none is expected."""
    place = Path(f"/proc/{process.pid}")
    status = dict(
        line.split(":\t", 1)
        for line in (place / "status").read_text().splitlines()
        if ":\t" in line
    )
    wrong = [
        f"{name} is {status[name]}"
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        if int(status[name], 16)
    ]
    filters = 2 if wall.name == "bubblewrap" else 1
    expected = {
        "NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": str(filters), "Threads": "1",
    }  # fmt: skip
    wrong += [
        f"{name} is {status[name].strip()}"
        for name, value in expected.items()
        if status[name].strip() != value
    ]
    told = (place / "limits").read_text().splitlines()
    for name, most in EXPECTED.items():
        row = next(line for line in told if line.startswith(NAMES[name]))
        if row[len(NAMES[name]) :].split()[:2] != [str(most)] * 2:
            wrong.append(f"{name} is not {most}: {row}")
    if (place / "environ").read_bytes().split(b"\0")[:-1] != _environment(place):
        wrong.append("its environment is not ours")
    if sorted(os.listdir(place / "fd")) != ["0", "1", "2"]:
        wrong.append(f"it has descriptors {sorted(os.listdir(place / 'fd'))}")
    if os.getsid(process.pid) == os.getsid(0):
        wrong.append("it is in our session")
    if wall.name == "bubblewrap":
        for kind in NAMESPACES:
            if os.readlink(place / "ns" / kind) == os.readlink(f"/proc/self/ns/{kind}"):
                wrong.append(f"it is in our {kind} namespace")
        if _parent_namespace(place) == os.stat("/proc/self/ns/user").st_ino:
            wrong.append("it may have user namespaces of its own")
        wrong += _writable(place)
        environment = Path(f"/proc/{process.ppid()}/environ").read_bytes()
        wrong += ["bubblewrap sees our environment"] if b"SECRET" in environment else []
    return wrong


def _environment(place: Path) -> list[bytes]:
    """Return our few variables, in the order in which the program has them."""
    there = (place / "environ").read_bytes().split(b"\0")[:-1]
    ours = {f"{name}={value}".encode() for name, value in walls.ENVIRONMENT.items()}
    return [word for word in there if word in ours or word == b"PWD=/work"]


def _parent_namespace(place: Path) -> int:
    """Return the user namespace above the program's: where no further one is allowed, not ours.

    bubblewrap then forbids them in one namespace and runs the program in another below it.
    """
    user = os.open(place / "ns" / "user", os.O_RDONLY)
    try:
        above = fcntl.ioctl(user, NS_GET_PARENT)
        try:
            return os.fstat(above).st_ino
        finally:
            os.close(above)
    finally:
        os.close(user)


def _writable(place: Path) -> list[str]:
    """Return what can be written behind bubblewrap besides the output and devices."""
    found = []
    for line in (place / "mountinfo").read_text().splitlines():
        words = line.split()
        ours = words[4] in ("/work/output.png", "/dev/null", "/dev/urandom")
        if not ours and "ro" not in words[5].split(","):
            found.append(f"{words[4]} can be written")
    return found


def outlives_its_parent(wall: Wall) -> bool:
    """Return whether a program goes on for more than two seconds after its parent was killed."""
    fork = multiprocessing.get_context("fork")
    limits = Limits(cpu=20, seconds=20)
    parent = fork.Process(target=run_behind, args=(wall, NEVER_ENDS, b"", limits))
    parent.start()
    started = _descendants(parent.pid or 0)
    parent.kill()
    parent.join()
    until = time.monotonic() + 2
    while time.monotonic() < until and any(_alive(process) for process in started):
        time.sleep(0.02)
    left = [process for process in started if _alive(process)]
    for process in left:
        process.kill()
    return bool(left)


def _descendants(number: int) -> list[psutil.Process]:
    """Return what a process has started, once a program of it computes."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = psutil.Process(number).children(recursive=True)
        with contextlib.suppress(psutil.Error):
            if found and found[-1].cpu_times().user > 0.3:
                return found
        time.sleep(0.05)
    return []


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
