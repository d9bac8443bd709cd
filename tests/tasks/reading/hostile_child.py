"""Reads hostile data sets in a process with little memory, and tells how each of them ended.

Usage: python -m tests.tasks.reading.hostile_child FOLDER, with the data sets in FOLDER/NAME/data.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

from tasks.reading.dataset import read_dataset
from tasks.records.rows import read_rows, read_summary
from tasks.running.errors import UserError
from tests.tasks.reading.folders import PNG

MORE_MEMORY = 2 * 2**30
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
          "pickle.find_class", "socket.connect", "socket.getaddrinfo", "socket.sendto")  # fmt: skip


def memory() -> tuple[int, int]:
    """Return this process's address space, and the most of the machine's memory it ever had."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(status[name].split()[0]) * 1024 for name in ("VmSize", "VmHWM"))


def main(root: Path) -> None:
    seen: list[str] = []

    def watch(event: str, args: tuple) -> None:
        if event in STARTS:
            seen.append(f"{event}{args}")
        elif event == "open" and isinstance(args[0], str | bytes):
            path = os.fsdecode(args[0])
            if path.rpartition("/")[2].startswith("secret") or path.startswith(
                ("/etc/passwd", "/dev/z", "http", "file:")
            ):
                seen.append(f"open {path}")

    sys.addaudithook(watch)
    # what a first reading imports, and the threads that it starts, are not the data sets' doing
    end(root / "harmless")
    space, start = memory()
    resource.setrlimit(resource.RLIMIT_AS, (space + MORE_MEMORY,) * 2)
    for case in sorted(root.iterdir()):
        print(json.dumps({"name": case.name}), flush=True)
        seen.clear()
        began = time.monotonic()
        told = end(case)
        told |= {"seconds": time.monotonic() - began, "did": seen[:3]}
        print(json.dumps({"name": case.name} | told), flush=True)
    print(json.dumps({"name": "", "memory": memory()[1] - start}), flush=True)


def end(case: Path) -> dict:
    """Read a data set and tell what was kept, what was set aside, or what was said."""
    out = case / "out"
    try:
        read_dataset(case / "data", out, case / "aside", 1.0)
    except UserError as error:
        return {"said": str(error), "left": out.exists()}
    except BaseException as error:
        return {"trace": f"{type(error).__name__}: {error}"[:500]}
    rows = list(read_rows(out))
    return {
        "kept": len(rows),
        "reasons": list(read_summary(out)["set_aside"]),
        "leaked": any("CANARY" in str(row) or PNG_ELSEWHERE in str(row["size"]) for row in rows),
    }


PNG_ELSEWHERE = "[33, 17]"  # the size of the picture outside of the data folder, and of no other
assert PNG

if __name__ == "__main__":
    main(Path(sys.argv[1]))
