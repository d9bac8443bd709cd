"""Runs programs that a model has written: for real, in bounded time, with nothing to steal.

>>> from PIL import Image
>>> from tasks.records.images import open_image, to_png
>>> program = "from PIL import Image; Image.open('input.png').crop((0, 0, 2, 2)).save('output.png')"
>>> outcome = run(program, to_png(Image.new("RGB", (8, 8))))
>>> outcome.status, outcome.text, open_image(outcome.picture).size
('ok', '', (2, 2))

A program reads `input.png` and may write `output.png`; it has Python's standard library, numpy,
Pillow and, where it is installed, OpenCV. It is one process of one thread behind one of two walls
(`tasks/tools/walls.py`): bubblewrap, or Landlock where namespaces are refused; where neither
holds, it is not run. Both promise the same; a test attacks each line behind both
(`tests/tasks/tools`), and `make attack` takes the locks away one by one.

- no network: no socket of any kind
- it reads nothing but its picture and the interpreter with its packages
- it writes nothing but its output, which cannot be made anything but a small file
- it ends in time, whatever it does
- it takes no more memory of the machine than its limit
- it starts no process and no thread
- at most 20 kB of what it says come back; how it ended is decided outside
- it sees no variable, key or argument of ours
- it cannot signal, trace, read, slow or outlive others
- it gains no power, even where we are root
- what comes back is text and a picture, never an object; bombs are refused before decoding
- runs see nothing of each other
- where a lock does not hold, nothing is run

Not covered: bugs of the kernel and of picture decoders (what it writes is decoded by us); side
channels; the clock; under Landlock, which files exist and what they are called.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tasks.asking.memory import Memory
from tasks.tools.interpreter import INSIDE, interpreter
from tasks.tools.outcome import Limits, Outcome, run_behind
from tasks.tools.probing import standing_wall
from tasks.tools.syscalls import filters
from tasks.tools.walls import ENVIRONMENT, Wall

__all__ = ["Limits", "Outcome", "Programs", "run"]

MOST = 200_000  # outcomes remembered; a picture of the embedded world has 2 kB, a photograph 1 MB
DEFAULT = Limits()


def run(code: str | bytes, picture: bytes, limits: Limits = DEFAULT) -> Outcome:
    """Run a program over a picture; nothing that it does is an error of ours.

    Args:
        code: What a model wrote, whether or not it is a program.
        picture: The bytes of `input.png`, whatever format they are.

    Raises:
        UserError: No wall stands here; the message says what to install.
    """
    return run_behind(standing_wall(), code, picture, limits)


class Programs:
    """Runs programs on all cores, each distinct one once and for all.

    An outcome is a function of program, picture, limits, versions and wall, so that rewards,
    episodes, arms and seeds share it, across kills. That includes a program that was stopped: were
    it run again when the machine is less busy, a reward could differ from the episode it is for.

    Args:
        folder: Where outcomes are remembered.
    """

    def __init__(self, folder: Path, limits: Limits = DEFAULT):
        self.limits, self._memory = limits, Memory(folder, MOST)

    def run(self, programs: Iterable[tuple[str | bytes, bytes]]) -> list[Outcome]:
        """Return the outcome of each program over its picture, in their order.

        Raises:
            UserError: No wall stands here.
        """
        wall = standing_wall()
        keyed = [(key_of(code, picture, self.limits, wall), code, picture)
                 for code, picture in programs]  # fmt: skip
        known = {
            key: _read(some[0]) for key, some in self._memory.known([k for k, *_ in keyed]).items()
        }
        new = {key: (code, picture) for key, code, picture in keyed if key not in known}
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            jobs = [
                (key, pool.submit(run_behind, wall, code, picture, self.limits))
                for key, (code, picture) in new.items()
            ]
            for key, job in jobs:
                known[key] = job.result()
                self._memory.add(key, 0, [_written(known[key])])
        return [known[key] for key, *_ in keyed]

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()


def key_of(code: str | bytes, picture: bytes, limits: Limits, wall: Wall) -> bytes:
    """Return what an outcome is a function of, hashed."""
    code = code.encode("utf-8", "surrogatepass") if isinstance(code, str) else code
    digests = [hashlib.sha256(part).hexdigest() for part in (code, picture)]
    told = [*digests, asdict(limits), wall.name, _surroundings()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


@cache
def _surroundings() -> list:
    """Return what else an outcome depends on: versions, environment, what we run inside."""
    ours = INSIDE.read_bytes() + filters()[1]
    return [interpreter().versions, ENVIRONMENT, hashlib.sha256(ours).hexdigest()]


def _written(outcome: Outcome) -> dict:
    picture = outcome.picture
    return asdict(outcome) | {"picture": picture and base64.b64encode(picture).decode()}


def _read(row: dict) -> Outcome:
    picture = row["picture"]
    return Outcome(**row | {"picture": picture and base64.b64decode(picture)})
