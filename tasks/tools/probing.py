"""The sandbox attacks itself before a process uses it, and is refused if one lock does not hold."""

import os
import secrets
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tasks.running.errors import UserError
from tasks.tools.outcome import Limits, run_behind
from tasks.tools.walls import BUBBLEWRAP, LANDLOCK, Wall

# Each must fail; what does not is named. `{canary}` is a file of the parent's, `{parent}` its
# number. The last lines show that the program was really run.
ATTACK = """
import os, socket, ctypes

def attacks():
    yield "opens a socket", lambda: socket.socket()
    yield "opens a socket of another kind", lambda: socket.socket(socket.AF_UNIX)
    yield "reads files", lambda: open({canary!r}).read()
    yield "reads folders", lambda: os.listdir({folder!r})
    yield "starts a process", os.fork
    yield "starts a program", lambda: os.posix_spawn("/bin/true", ["true"], {{}})
    yield "becomes a program", lambda: os.execv("/bin/true", ["true"])
    yield "writes files", lambda: open({new!r}, "w")
    yield "writes beside its output", lambda: open("beside", "w")
    yield "changes files", lambda: os.chmod("output.png", 0o777)
    yield "signals others", lambda: os.kill({parent}, 0)
    yield "signals all", lambda: os.kill(-1, 0)
    yield "raises its limits", lambda: lifted()

def lifted():
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))

for name, attack in attacks():
    try:
        attack()
    except (OSError, ValueError):
        continue
    print(name)
    break
open("output.png", "rb").close()
print({word!r})
"""
TODO = (
    "`apt-get install bubblewrap libseccomp2`; where user namespaces are refused (`sysctl "
    "kernel.apparmor_restrict_unprivileged_userns` is 1, or a container), a Linux of 5.13 or later "
    "with Landlock is enough"
)


def check(wall: Wall) -> None:
    """Attack a wall.

    Raises:
        UserError: It cannot be built, or does not hold.
    """
    word = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder, "canary")
        canary.write_text(word[::-1])
        code = ATTACK.format(
            canary=str(canary), folder=folder, new=f"{folder}/new", word=word, parent=os.getpid()
        )
        outcome = run_behind(wall, code, b"", Limits())
    if outcome.status != "ok" or outcome.text != f"{word}\n":
        raise UserError(
            f"The wall of {wall.name} does not hold",
            f"a program of our own got this far: {outcome.text.strip()[:300]!r}",
            "run nothing here, and report it with `uname -r`",
        )


@cache
def standing_wall(walls: Sequence[Wall] = (BUBBLEWRAP, LANDLOCK)) -> Wall:
    """Return the first wall that stands and holds, found out once in a process.

    Raises:
        UserError: None does; nothing is run then.
    """
    reasons = []
    for wall in walls:
        try:
            check(wall)
        except UserError as error:
            reasons.append(f"{error.what} ({error.why})")
        else:
            return wall
    raise UserError("Programs of models cannot be run here", "; ".join(reasons), TODO)
