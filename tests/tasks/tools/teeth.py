"""Takes every lock of the sandbox away in turn, and prints which promise's attacks notice.

`make attack` runs it: lock by promise, the number of attacks that succeed. A lock whose absence
nothing notices is a missing test, and ends it with an error. Locks are taken away in a forked
process, in its memory, by changing what `tasks/tools` holds; there is no switch for it.
"""

import inspect
import json
import multiprocessing
import os
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from PIL import Image

from tasks.records import images
from tasks.records.images import to_png
from tasks.tools import folders, interpreter, outcome, syscalls, walls, watching
from tasks.tools.outcome import Limits
from tasks.tools.walls import BUBBLEWRAP, LANDLOCK, Wall
from tests.tasks.tools.alone import everything, landlock_alone
from tests.tasks.tools.attacks import Attack, noticed, targets
from tests.tasks.tools.bad_output import BAD, KINDS, put
from tests.tasks.tools.hostile import TABLE
from tests.tasks.tools.inspection import open_locks, outlives_its_parent, sleeping

BOTH = (BUBBLEWRAP, LANDLOCK)
# others of their kind notice the same, in less time
SLOW = {"a regular expression", "a power", "at its end", "closed output", "recursion"}
ATTACKS = [attack for attack in TABLE if attack.name not in SLOW]
# what takes seconds is tried where time or memory could be lost
QUICK = [attack for attack in ATTACKS if attack.promise not in ("time", "memory")]
OF_TIME_AND_MEMORY = re.compile("RLIMIT|filter|time|memfd|System V|pipes|fork|pid name|ipc name")


@dataclass(frozen=True)
class Lock:
    """A lock, the walls that have it, and how it is taken away."""

    name: str
    walls: tuple[Wall, ...]
    remove: Callable[[], None]


def setting(place: object, name: str, value: object) -> Callable[[], None]:
    """Return what gives a name of a module another value."""
    return lambda: setattr(place, name, value)


def rewriting(module: ModuleType, function: str, old: str, new: str) -> Callable[[], None]:
    """Return what runs a function's text with a part of it replaced, wherever it is imported."""

    def remove() -> None:
        before = getattr(module, function)
        text = inspect.getsource(before)
        assert text.count(old) == 1, f"{function}: {old}"
        exec(compile(text.replace(old, new), module.__file__, "exec"), module.__dict__)
        for user in (outcome, watching, walls, folders):
            for name, value in list(vars(user).items()):
                if value is before:
                    setattr(user, name, getattr(module, function))
        for wall in BOTH:
            if wall.start is before:
                object.__setattr__(wall, "start", getattr(module, function))

    return remove


def rewriting_inside(old: str, new: str = "pass") -> Callable[[], None]:
    """Return what starts runs with another beginning."""

    def remove() -> None:
        text = interpreter.INSIDE.read_text()
        assert text.count(old) == 1, old
        changed = Path(tempfile.mkdtemp("", "changed-", folders.root(os.getpid())), "inside.py")
        changed.write_text(text.replace(old, new))
        walls.INSIDE = changed

    return remove


def filters(before: bool, after: bool) -> Callable[[], None]:
    """Return what takes away filters of calls: the first, the second."""

    def remove() -> None:
        first, second = syscalls.filters()
        shown = (first if before else everything(), second if after else everything())
        syscalls.filters = lambda: shown

    return remove


def without_limit(name: str) -> Callable[[], None]:
    """Return what takes away a limit of the process."""
    whole = Limits.of_process

    def fewer(self: Limits) -> dict[str, int]:
        return {key: most for key, most in whole(self).items() if key != name}

    return setting(Limits, "of_process", fewer)


# what a family of calls would allow, were it let through
FAMILIES = {
    "sockets": ("socket", "socketpair", "connect"), "fork": ("fork", "vfork", "clone"),
    "exec": ("execve", "execveat"), "chmod": ("chmod", "fchmod", "fchmodat"),
    "times": ("utime", "utimes", "utimensat", "futimesat"),
    "attributes": ("setxattr", "fsetxattr", "lsetxattr"), "owners": ("chown", "fchown", "fchownat"),
    "signals": ("kill", "tkill", "tgkill", "rt_sigqueueinfo"), "ptrace": ("ptrace",),
    "System V": ("shmget", "shmat", "shmctl"), "memfd": ("memfd_create",),
    "pipes": ("pipe", "pipe2"), "prctl": ("prctl",), "limits": ("setrlimit",),
    "priorities": ("getpriority", "setpriority"), "affinity": ("sched_setaffinity",),
    "pidfd": ("pidfd_open",), "namespaces": ("unshare", "setns"), "io_uring": ("io_uring_setup",),
    "keys": ("keyctl", "add_key"), "personality": ("personality",), "seccomp": ("seccomp",),
}  # fmt: skip


def locks() -> list[Lock]:
    """Return every lock there is."""
    found = []
    for name in walls.NAMESPACES:
        gone = {name, "no further user namespaces"} if name == "user namespace" else {name}
        left = {key: words for key, words in walls.NAMESPACES.items() if key not in gone}
        found.append(Lock(name, (BUBBLEWRAP,), setting(walls, "NAMESPACES", left)))
    found += [
        Lock("read-only root", (BUBBLEWRAP,), setting(walls, "READ_ONLY_ROOT", ())),
        Lock("nothing but its folder is writable", (BUBBLEWRAP,),
             rewriting(walls, "_bubblewrap", '["--ro-bind", str(path), str(path)]',
                       '["--bind", str(path), str(path)]')),
        Lock("input read-only", (BUBBLEWRAP,), rewriting(
            walls, "_bubblewrap", '["--ro-bind", str(folder / INPUT)',
            '["--bind", str(folder / INPUT)')),
        Lock("nothing but the interpreter is bound", (BUBBLEWRAP,), rewriting(
            walls, "_bubblewrap", "for device in", 'words += ["--ro-bind", "/etc", "/etc"]\n'
            "    for device in")),
        Lock("empty environment", BOTH, lambda: setattr(
            watching, "ENVIRONMENT", {**os.environ, **watching.ENVIRONMENT})),
        Lock("first filter of calls", (BUBBLEWRAP,), rewriting(
            walls, "_bubblewrap", '"--seccomp", "SECCOMP", ', "")),
        Lock("second filter of calls", BOTH, filters(True, False)),
        Lock("both filters of calls", BOTH, filters(False, False)),
        Lock("Landlock: files", (LANDLOCK,), rewriting_inside(
            'restrict_files(*told["landlock"])')),
        Lock("Landlock: network", (LANDLOCK,), setting(walls, "NET_RIGHTS", {})),
        Lock("Landlock: signals, abstract sockets", (LANDLOCK,), setting(walls, "SCOPES", {})),
        Lock("Landlock: input read-only", (LANDLOCK,), rewriting(
            walls, "_landlock", "(folder / INPUT, READ_FILE)", "(folder / INPUT, write)")),
        Lock("capabilities dropped", (LANDLOCK,), rewriting_inside("        drop_capabilities()",
                                                                   "        pass")),
        Lock("session of its own", (LANDLOCK,), rewriting_inside("os.setsid()")),
        Lock("dies with its parent, Landlock", (LANDLOCK,), rewriting_inside(
            "checked(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))")),
        Lock("descriptors closed inside", (LANDLOCK,), rewriting_inside(
            "os.closerange(report + 1, 4096)")),
        Lock("report closed", BOTH, rewriting_inside('os.write(report, b"c")\n    os.close(report)',
                                                     'os.write(report, b"c")')),
        Lock("time in all", BOTH, rewriting(
            watching, "_until_gone", "until = began + seconds", "until = began + 60")),
        Lock("text cut", BOTH, setting(outcome, "ROOM", -(10**6))),
        Lock("text made printable", BOTH, setting(outcome, "printable", str)),
        Lock("status from outside", BOTH, rewriting(
            outcome, "_judged", '("failed", f"ended with code {ended.code}") if ended.code else',
            '("failed", "") if ended.code == 1 else')),
        Lock("output: no links", (), rewriting(folders, "read_output", "os.O_NOFOLLOW | ", "")),
        Lock("output: no waiting", (), rewriting(folders, "read_output", "os.O_NONBLOCK | ", "")),
        Lock("output: a file", (), rewriting(
            folders, "read_output", "not stat.S_ISREG(facts.st_mode) or ", "")),
        Lock("output: its own", (), rewriting(
            folders, "read_output", " or facts.st_nlink != 1", "")),
        Lock("output: small", (), rewriting(
            folders, "read_output", "facts.st_size > most", "False")),
        Lock("picture: formats", (), setting(images, "TOOLS_FORMATS", images.FORMATS)),
        Lock("picture: pixels", (), setting(images, "TOOLS_PIXELS", 10**12)),
        Lock("picture: bytes", (), setting(images, "TOOLS_BYTES", 10**12)),
        Lock("picture: one", (), rewriting(images, "check_from_tool", "frames > 1", "False")),
    ]  # fmt: skip
    found += [
        Lock(f"calls refused: {name}", BOTH, _allowing(calls)) for name, calls in FAMILIES.items()
    ]
    found += [
        Lock("arguments of fcntl", BOTH, setting(syscalls, "FCNTL", (*syscalls.FCNTL, 4, 8))),
        Lock("arguments of ioctl", BOTH, setting(
            syscalls, "IOCTL", (*syscalls.IOCTL, 0x5412, 0x40086602))),
    ]  # fmt: skip
    found += [Lock(name, BOTH, without_limit(name)) for name in Limits().of_process()]
    return found


def _allowing(calls: tuple[str, ...]) -> Callable[[], None]:
    return setting(syscalls, "ALLOWED", (*syscalls.ALLOWED, *calls))


# ---- what notices ----


def notices(lock: Lock | None, wall: Wall | None) -> dict[str, int]:
    """Return by promise how many attacks succeed without a lock."""
    syscalls.filters.cache_clear()
    found: Counter[str] = Counter()
    if wall is None:
        if lock:
            lock.remove()
        return {"what comes back": count} if (count := _coming_back()) else {}
    picture = to_png(Image.new("RGB", (64, 48), "red"))
    with targets() as world:
        if lock:
            lock.remove()
        for attack in ATTACKS if lock and OF_TIME_AND_MEMORY.search(lock.name) else QUICK:
            found[attack.promise] += bool(_tried(attack, wall, world, picture))
        found["seen from outside"] += bool(_seen(wall))
        found["its parent's end"] += outlives_its_parent(wall)
        if wall is LANDLOCK:
            found["Landlock alone"] += bool(landlock_alone(world, picture))
    return {promise: count for promise, count in found.items() if count}


def _tried(attack: Attack, wall: Wall, world, picture: bytes) -> str:
    try:
        return noticed(attack, wall, world, picture)
    except Exception as error:  # a wall that cannot be built is noticed, too
        return repr(error)


def _seen(wall: Wall) -> list[str]:
    try:
        with sleeping(wall) as process:
            return open_locks(process, wall)
    except Exception as error:
        return [repr(error)]


def _coming_back() -> int:
    """Return how many files that are no small picture are taken, or waited for."""
    taken = []

    def one(name: str, look: Callable[[], object]) -> None:
        try:
            look()
        except (ValueError, images.BadPicture):
            return
        taken.append(name)

    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            put(kind, Path(folder))
            file = Path(folder, "output")
            looks = threading.Thread(
                target=one, args=(kind, lambda f=file: folders.read_output(f, 16_000_000)),
                daemon=True,
            )  # fmt: skip
            looks.start()
            looks.join(2)
            if looks.is_alive():
                taken.append(kind)
                os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK))  # let it go on
    for name, data in BAD.items():
        one(name, lambda data=data: images.check_from_tool(data))
    return len(taken)


def _in_a_fork(lock: Lock | None, wall: Wall | None) -> dict[str, int]:
    """Return what is noticed, found out in a process that is thrown away."""
    fork = multiprocessing.get_context("fork")
    receive, send = fork.Pipe(duplex=False)

    def work() -> None:
        send.send_bytes(json.dumps(notices(lock, wall)).encode())

    process = fork.Process(target=work)
    process.start()
    send.close()
    try:
        return json.loads(receive.recv_bytes())
    except EOFError:
        return {"it ends the attack itself": 1}
    finally:
        process.join()


def main(chosen: list[str]) -> None:
    """Print lock by promise; end with an error where a lock is missed by nobody."""
    unnoticed = []
    for wall in (*BOTH, None):
        if told := _in_a_fork(None, wall):
            sys.exit(f"with every lock shut, these fail behind {wall and wall.name}: {told}")
    for lock in locks():
        if chosen and not any(word in lock.name for word in chosen):
            continue
        for wall in lock.walls or (None,):
            told = _in_a_fork(lock, wall)
            shown = ", ".join(f"{promise} {count}" for promise, count in told.items())
            name = wall.name if wall else "afterwards"
            print(f"{lock.name:40} {name:12} {shown or 'NOBODY NOTICES'}", flush=True)
            unnoticed += [] if told else [f"{lock.name} ({name})"]
    if unnoticed:
        sys.exit(f"missing tests: {', '.join(unnoticed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
