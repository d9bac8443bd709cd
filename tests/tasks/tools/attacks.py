"""How an attack is run and judged, behind which wall it may be."""

import contextlib
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import psutil

from tasks.tools import folders
from tasks.tools.outcome import Limits, Outcome, run_behind
from tasks.tools.walls import Wall

SHORT = Limits(cpu=1, seconds=2)
# Every hostile program begins with this: what works is told, what is refused is not.
BEGINNING = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def tries(name, attack, *arguments):
    try:
        result = attack(*arguments)
    except BaseException:
        return
    print("ESCAPED", name, repr(result)[:60], flush=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
"""
ENDING = '\nprint("the end")\n'


@dataclass
class Targets:
    """What attacks are aimed at: a world that they must not see, reach or change.

    Attributes:
        told: What programs are told of it, as T.
        token: A secret; it must not come back.
        watched: Folders and files that stay as they are.
        other: The folder of another run.
        visitors: Who came to a server.
        created: Files that a program would make if it could.
    """

    told: dict
    token: str
    watched: list[Path]
    other: Path
    sibling: subprocess.Popen
    visitors: list[str] = field(default_factory=list)
    created: list[Path] = field(default_factory=list)

    def fingerprint(self) -> str:
        """Return a hash of all names, contents, modes and times that are watched."""
        digest = hashlib.sha256()
        for folder in self.watched:
            for path in sorted([folder, *(folder.rglob("*") if folder.is_dir() else ())]):
                facts = path.lstat()
                told = (str(path), facts.st_mode, facts.st_uid, facts.st_nlink)
                times = () if path.is_dir() else (facts.st_mtime_ns, facts.st_size)
                extended = os.listxattr(path, follow_symlinks=False)
                digest.update(repr((told, times, extended)).encode())
                if path.is_file() and not path.is_symlink():
                    digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Attack:
    """A hostile program and what must come of it.

    Attributes:
        promise: The line of the table that it attacks.
        ends: How it may end; "ok" is only a program that came to its last line.
        also: Looks at the outcome; returns what is wrong with it.
    """

    promise: str
    name: str
    code: str | bytes
    ends: tuple[str, ...] = ("ok",)
    limits: Limits = Limits(seconds=60)
    also: Callable[[Outcome], str] = lambda outcome: ""

    def __str__(self) -> str:
        return f"{self.promise}: {self.name}"


def noticed(attack: Attack, wall: Wall, targets: Targets, picture: bytes) -> str:
    """Run an attack and return what it broke; nothing if every promise was kept."""
    code = attack.code
    if isinstance(code, str):
        code = f"T = {targets.told!r}\n{BEGINNING}\n{code}{ENDING}"
    before, visitors, shared = targets.fingerprint(), len(targets.visitors), _shared_memory()
    began, before_it = time.monotonic(), waited()
    outcome = run_behind(wall, code, picture, attack.limits)
    took, starved = time.monotonic() - began, waited() - before_it
    lost = _shared_memory() - shared
    wrong = [
        ("ESCAPED" in outcome.text, outcome.text[:600]),
        (outcome.status not in attack.ends, f"{outcome.status}: {outcome.text[:600]}"),
        (outcome.status == "ok" and "the end" not in outcome.text, f"cut off: {outcome.text}"),
        (targets.token in outcome.text, "a secret came back"),
        (len(outcome.text.encode()) > attack.limits.text, "too much text"),
        (took > attack.limits.seconds + 1 + starved, f"it took {took:.1f} s"),
        (outcome.memory > attack.limits.memory + 64e6, f"it held {outcome.memory / 1e6:.0f} MB"),
        (lost > 64e6, f"{lost / 1e6:.0f} MB of shared memory are lost"),
        (targets.fingerprint() != before, "files have changed"),
        (len(targets.visitors) > visitors, f"it reached {targets.visitors[visitors:]}"),
        (targets.sibling.poll() is not None, "a sibling is gone"),
        (bool(left := _left_over()), f"processes are left: {left}"),
        (list(folders.root(os.getpid()).glob("tmp*")) != [targets.other], "a folder is left"),
        (bool(made := _unmade(targets.created)), f"it made {made}"),
        (bool(told := attack.also(outcome)), told),
    ]  # fmt: skip
    return "; ".join(str(what) for broken, what in wrong if broken)


def waited() -> float:
    """Return the seconds for which somebody on this machine has waited for a core so far."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except OSError:  # a kernel that does not tell
        return 0.0


def _shared_memory() -> float:
    """Return the bytes that tmpfs, memfd and System V keep, which no process's limit bounds."""
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return 1024.0 * int(facts["Shmem"].split()[0])


def _unmade(files: list[Path]) -> list[str]:
    """Remove what should not be there, and return it."""
    made = [file for file in files if file.exists()]
    for file in made:
        file.unlink()
    return list(map(str, made))


def _left_over() -> list[str]:
    """Return programs of ours that outlived their run, and end them."""
    left = []
    for process in psutil.process_iter(["cmdline", "pid"]):
        if any("inside" in word and word.endswith(".py") for word in process.info["cmdline"] or []):
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("PYTHONHASHSEED") == "0"
                if ours and process.ppid() in (1, os.getpid()):
                    left.append(str(process))
                    process.kill()
    return left


@contextlib.contextmanager
def targets() -> Iterator[Targets]:
    """Yield a world with secrets, servers, a sibling and files."""
    token = secrets.token_hex(16)
    checkout = Path(folders.__file__).parents[2]
    with contextlib.ExitStack() as stack:
        places = []
        for parent in (Path.home(), checkout, checkout / ".runtime", Path(tempfile.gettempdir())):
            parent.mkdir(exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".canary-", dir=parent))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            (folder / "canary").write_text(token)
            (folder / "link").symlink_to(folder / "canary")
            places.append(folder)
        other = stack.enter_context(folders.run_folder(token.encode()))
        handle = os.open(places[0] / "canary", os.O_RDWR)
        os.set_inheritable(handle, True)
        stack.callback(os.close, handle)
        os.environ["SECRET_KEY"] = token
        stack.callback(os.environ.pop, "SECRET_KEY")
        sibling = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", token])
        stack.callback(sibling.wait)
        stack.callback(sibling.kill)
        name = f"new-{token[:8]}"
        around = (*places, other, "/", "/etc", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/work",
                  "/packages", Path(os.__file__).parent, Path(numpy.__file__).parent)  # fmt: skip
        library = [Path(os.__file__), Path(numpy.__file__), folders.root(os.getpid()) / "empty"]
        world = Targets({}, token, [*places, other, *library], other, sibling)
        world.created = [Path(place, name) for place in around]
        world.told = {
            "created": [name, f"../{name}", *map(str, world.created)],
            "canaries": [str(f / name) for f in places for name in ("canary", "link")]
            + [str(other / "input.png")],
            "folders": [str(folder) for folder in (*places, other)],
            # backwards, as the program must not hold it
            "backwards": token[::-1], "parent": os.getpid(), "sibling": sibling.pid,
            **_servers(world, places[-1], stack),
        }  # fmt: skip
        yield world


def _servers(world: Targets, folder: Path, stack: contextlib.ExitStack) -> dict:
    """Start servers that note who comes; return where they are."""
    path, abstract = str(folder / "socket"), f"\0{world.token[:8]}"
    listening = {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "unix": (socket.AF_UNIX, socket.SOCK_STREAM, path),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, abstract),
    }
    told = {}
    for name, (family, kind, address) in listening.items():
        server = stack.enter_context(socket.socket(family, kind))
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen()
        told[name] = server.getsockname()
        threading.Thread(target=_note, args=(server, name, world), daemon=True).start()
    return told


def _note(server: socket.socket, name: str, world: Targets) -> None:
    with contextlib.suppress(OSError):
        while True:
            server.recv(10) if server.type == socket.SOCK_DGRAM else server.accept()[0].close()
            world.visitors.append(name)
