"""What Landlock keeps by itself, were the filter of system calls not there."""

import tempfile
from unittest import mock

from tasks.tools import syscalls
from tasks.tools.outcome import run_behind
from tasks.tools.python import DEFAULT
from tasks.tools.walls import LANDLOCK
from tests.tasks.tools.attacks import BEGINNING, ENDING, Targets

CODE = """
import socket
def tries(name, attack, *arguments):
    try:
        attack(*arguments)
    except PermissionError:
        return
    except BaseException as error:
        name += f" ({error!r})"
    print("ESCAPED", name, flush=True)
tries("tcp", lambda: socket.socket().connect(tuple(T["tcp"])))
tries("serves", lambda: socket.socket().bind(("127.0.0.1", 0)))
tries("abstract", lambda: socket.socket(socket.AF_UNIX).connect(T["abstract"]))
tries("parent", os.kill, T["parent"], 0)
tries("sibling", os.kill, T["sibling"], 0)
tries("file", open, T["canaries"][0])
tries("removes", os.unlink, T["canaries"][0])
tries("process", call, 101, 0x4206, T["parent"], 0, 0)
"""


def everything() -> bytes:
    """Return a filter that lets every call through."""
    import pyseccomp as seccomp

    with tempfile.TemporaryFile() as file:
        seccomp.SyscallFilter(seccomp.ALLOW).export_bpf(file)
        file.seek(0)
        return file.read()


def landlock_alone(world: Targets, picture: bytes) -> str:
    """Return what gets through Landlock without the filter of calls; nothing is expected."""
    code = f"T = {world.told!r}\n{BEGINNING}\n{CODE}{ENDING}"
    with mock.patch.object(syscalls, "filters", lambda: (everything(), everything())):
        outcome = run_behind(LANDLOCK, code, picture, DEFAULT)
    return "" if outcome.text == "the end\n" else outcome.text
