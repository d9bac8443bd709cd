"""`make up`: Prefect, MLflow and the runner in one foreground process; Ctrl-C stops all three.

`make down` stops them from elsewhere. Everything binds to 127.0.0.1 and keeps its state in
`.runtime/`. Ports: PREFECT_PORT (4200), MLFLOW_PORT (5000). What an earlier kill left behind is
repaired before the runner starts (see `flows/platform/doctor.py`).
"""

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

from flows.platform.databases import move_damaged_aside
from flows.platform.gate import LET_IN
from flows.platform.servers import (
    ROOT,
    RUNTIME,
    address,
    environment,
    listen,
    start,
    start_server,
    wait_until_ready,
)
from tasks.running.errors import need_space, without_trace
from tasks.running.locks import Taken, take
from tasks.running.private import new_password, runtime, write_private
from tasks.running.process import process_of, stop

PREFECT_PORT = int(os.environ.get("PREFECT_PORT", "4200"))
MLFLOW_PORT = int(os.environ.get("MLFLOW_PORT", "5000"))
SECONDS_TO_STOP = 60
LOCK = RUNTIME / "up.lock"  # held while the servers run; says who holds it
WAY_IN = RUNTIME / "way-in"  # the address that lets a browser in, while the servers run


def stop_from_elsewhere() -> None:
    """Ask the `make up` of this checkout to stop, and wait until it has (`make down`)."""
    asked = None
    deadline = time.monotonic() + SECONDS_TO_STOP
    while time.monotonic() < deadline:
        try:
            take(LOCK, "`make down`").close()
            print("Stopped." if asked else "Nothing is running.")
            return
        except Taken as taken:
            holder = process_of(taken.by)
            if asked is None and holder and holder.uids().real == os.getuid():
                holder.terminate()  # psutil looks once more whether it is the same process
                asked = holder.pid
            time.sleep(0.2)
    raise SystemExit(f"Process {asked or '?'} did not stop within {SECONDS_TO_STOP} s")


def way_in(prefect: str, password: str) -> str:
    """Return the address that lets a browser in, with the password where browsers keep it.

    >>> way_in("http://127.0.0.1:4200", "collimate:secret")
    'http://127.0.0.1:4200/let-in#Y29sbGltYXRlOnNlY3JldA=='
    """
    return f"{prefect}{LET_IN}#{base64.b64encode(password.encode()).decode()}"


def unended(prefect: str, password: str) -> int:
    """Return how many flow runs Prefect believes to be under way; 0 where it does not answer."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    key = base64.b64encode(password.encode()).decode()
    asked = urllib.request.Request(
        f"{prefect}/api/flow_runs/count",
        data=json.dumps(wanted).encode(),
        headers={"Authorization": f"Basic {key}", "Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return int(direct.open(asked, timeout=5).read())
    except (OSError, ValueError):
        return 0


def repair(variables: dict[str, str]) -> None:
    """Let the doctor put right what an earlier kill left, and say what it did."""
    found = subprocess.run(
        [sys.executable, "-m", "flows.platform.doctor"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
    )
    if found.returncode:
        print(f"The doctor could not look after earlier runs:\n{found.stderr[-2000:]}", flush=True)
    elif "Nothing to repair" not in found.stdout:
        print(f"Repaired after an earlier kill:\n{found.stdout.rstrip()}", flush=True)


def main() -> None:
    """Start all three, say where they are, and stop all of them at the end."""
    prefect, mlflow = address(PREFECT_PORT), address(MLFLOW_PORT)
    where = f"Prefect {prefect}   MLflow {mlflow}"
    runtime(ROOT)
    try:
        lock = take(LOCK, where)
    except Taken as taken:
        raise SystemExit(
            f"Already running: {taken}. `make down` stops it."
            + (f"\nLet a browser in: {WAY_IN.read_text()}" if WAY_IN.exists() else "")
        ) from None
    need_space(RUNTIME)
    for told in move_damaged_aside(RUNTIME):
        print(told, flush=True)
    doors = {
        "prefect": listen("prefect", PREFECT_PORT),
        "mlflow": listen("mlflow", MLFLOW_PORT),
    }
    for asked_to_end in (signal.SIGTERM, signal.SIGHUP):  # `make down`; the terminal is closed
        signal.signal(asked_to_end, lambda *_: sys.exit(0))
    password = new_password()
    write_private(WAY_IN, way_in(prefect, password))
    variables = environment(password, PREFECT_PORT, MLFLOW_PORT)
    children: dict[str, subprocess.Popen] = {}
    try:
        for name, other in (("prefect", MLFLOW_PORT), ("mlflow", PREFECT_PORT)):
            children[name] = start_server(name, doors[name], variables, other)
        wait_until_ready("prefect", children["prefect"], PREFECT_PORT)
        wait_until_ready("mlflow", children["mlflow"], MLFLOW_PORT)
        repair(variables)
        children["runner"] = start("runner", ["flows.platform.serve"], variables)
        print(f"Let a browser in: {WAY_IN.read_text()}", flush=True)
        print(f"{where}   (Ctrl-C or `make down` stops all)", flush=True)
        while all(child.poll() is None for child in children.values()):
            time.sleep(1)
        dead = next(name for name, child in children.items() if child.poll() is not None)
        raise SystemExit(f"{dead} stopped; see {RUNTIME / dead}.log. `make up` starts all again.")
    except KeyboardInterrupt:
        print("stopping")
    finally:
        for impatience in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(impatience, signal.SIG_IGN)  # or it would leave the others behind
        if "runner" in children:  # first: it talks to the servers
            stop(children.pop("runner"))
            if unended(prefect, password):
                repair(variables)  # a flow that could not say in time that it was stopped
        for child in reversed(children.values()):
            stop(child)
        WAY_IN.unlink(missing_ok=True)
        for door in doors.values():  # open until now: nobody else could take a dead server's port
            door.close()
        lock.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stop", action="store_true", help="stop what runs in this checkout")
    asked = parser.parse_args()
    with without_trace():
        (stop_from_elsewhere if asked.stop else main)()
