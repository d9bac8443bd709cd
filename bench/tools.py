"""What a sandbox costs: a program behind each wall beside a bare interpreter, and a batch of 64.

`make bench-tools` prints the figures and writes `bench/tools.json`. One program at a time, both
walls and the bare interpreter in turns, medians; computing is that of all processes of a run, by
`getrusage`. The bare interpreter has the same flags and environment and imports nothing.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tasks.records.images import to_png
from tasks.tools.interpreter import interpreter
from tasks.tools.outcome import run_behind
from tasks.tools.probing import check, standing_wall
from tasks.tools.python import DEFAULT, Programs
from tasks.tools.walls import BUBBLEWRAP, ENVIRONMENT, FLAGS, LANDLOCK, Wall

WHERE = Path(__file__).with_name("tools.json")
REPEATS, BATCH = 30, 64
PILLOW = """
from PIL import Image
image = Image.open("input.png")
image.crop((100, 50, 400, 250)).resize((600, 400)).save("output.png")
"""
OPENCV = """
import cv2
image = cv2.imread("input.png")
cv2.imwrite("output.png", cv2.resize(image[50:250, 100:400], (600, 400)))
"""


def picture() -> bytes:
    """Return a page of 640 x 480 pixels."""
    return to_png(Image.radial_gradient("L").resize((640, 480)).convert("RGB"))


def bare() -> None:
    """Start the interpreter and let it end."""
    command = [str(interpreter().program), *FLAGS, "-c", "pass"]
    subprocess.run(command, env=ENVIRONMENT, check=True, cwd="/")


def behind(wall: Wall, code: str, data: bytes) -> Callable[[], None]:
    """Return what runs a program behind a wall."""

    def work() -> None:
        outcome = run_behind(wall, code, data, DEFAULT)
        if outcome.status != "ok":
            raise RuntimeError(outcome.text)

    return work


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return seconds by the clock, and seconds of computing of what was started."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_at_a_time(repeats: int) -> dict[str, dict[str, float]]:
    """Return medians of each program behind each wall, and of the bare interpreter."""
    data = picture()
    arms: dict[str, Callable[[], None]] = {"bare interpreter": bare}
    programs = {"empty": "pass", "Pillow": PILLOW}
    if "cv2" in dict(interpreter().versions):
        programs["OpenCV"] = OPENCV
    for wall in (BUBBLEWRAP, LANDLOCK):
        for name, code in programs.items():
            arms[f"{name}, {wall.name}"] = behind(wall, code, data)
    for work in arms.values():
        work()  # the first one reads files
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, work in arms.items():
            taken[name].append(timed(work))
    return {
        name: {
            "seconds": statistics.median(seconds for seconds, _ in some),
            "cpu": statistics.median(cpu for _, cpu in some),
        }
        for name, some in taken.items()
    }


def batch() -> dict[str, float]:
    """Return the seconds of a batch of distinct Pillow programs, new and remembered."""
    data = picture()
    programs = [(f"# {number}\n{PILLOW}", data) for number in range(BATCH)]
    standing_wall()
    with tempfile.TemporaryDirectory() as folder:
        runs = Programs(Path(folder))
        cold, _ = timed(lambda: runs.run(programs) and None)
        remembered, _ = timed(lambda: runs.run(programs) and None)
    return {"cold": cold, "remembered": remembered}


def measure(repeats: int = REPEATS) -> dict[str, Any]:
    """Return all figures."""
    attacks = {
        wall.name: timed(lambda wall=wall: check(wall))[0] for wall in (BUBBLEWRAP, LANDLOCK)
    }
    programs = one_at_a_time(repeats)
    alone = programs["bare interpreter"]["seconds"]
    return {
        "programs": programs,
        "wall_adds": {
            wall.name: programs[f"empty, {wall.name}"]["seconds"] - alone
            for wall in (BUBBLEWRAP, LANDLOCK)
        },
        "attacks_itself": attacks,
        "batch": batch(),
        "batch_of": BATCH,
        "versions": dict(interpreter().versions),
        "kernel": os.uname().release,
        "cores": len(os.sched_getaffinity(0)),
        "repeats": repeats,
    }


if __name__ == "__main__":
    found = json.dumps(measure(*map(int, sys.argv[1:])), indent=1)
    print(found)
    if not sys.argv[1:]:  # with a number of repeats: a look, not a measurement
        WHERE.write_text(found + "\n")
