"""`make up`: Prefect, MLflow and the runner in one foreground process; Ctrl-C stops all three.

`make down` stops them from elsewhere. Everything binds to 127.0.0.1 and keeps its state in
`.runtime/`. Ports: PREFECT_PORT (4200), MLFLOW_PORT (5000). What an earlier kill left behind is
repaired before the runner starts (see `flows/doctor.py`).
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from tasks.errors import need_space, without_trace
from tasks.locks import Taken, take
from tasks.process import QUIET, stop

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / ".runtime"
PREFECT_PORT = int(os.environ.get("PREFECT_PORT", "4200"))
MLFLOW_PORT = int(os.environ.get("MLFLOW_PORT", "5000"))
SECONDS_TO_START, SECONDS_TO_STOP = 180, 60
LOCK = RUNTIME / "up.lock"  # held while the servers run; says who holds it


def environment() -> dict[str, str]:
    """Return the variables that the servers and the runner share."""
    return os.environ | QUIET | {
        "PREFECT_HOME": str(RUNTIME / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{PREFECT_PORT}/api",
        # the setting and not `--port`: the UI asks this one where the API is
        "PREFECT_SERVER_API_PORT": str(PREFECT_PORT),
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # version 2 calls an outside host
        "PREFECT_RUNNER_POLL_FREQUENCY": "3",
        "COLLIMATE_MLFLOW_UI": f"http://127.0.0.1:{MLFLOW_PORT}",  # flows link their runs to it
        # starts ten processes otherwise
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def start(name: str, command: list[str]) -> subprocess.Popen:
    """Start a child in its own process group with its output in `.runtime/<name>.log`."""
    log = (RUNTIME / f"{name}.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment(),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def wait_until_ready(name: str, process: subprocess.Popen, url: str) -> None:
    """Wait until `url` answers; end with a clear line when the child dies first."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{name} stopped while starting; see {RUNTIME / name}.log")
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"{name} did not answer within {SECONDS_TO_START} s; see {RUNTIME / name}.log")


def check_port(name: str, port: int) -> None:
    """End with a clear line when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SystemExit(
                f"Port {port} for {name} is taken{_by_whom(port)}. End what is there, or set "
                f"{name.upper()}_PORT to another one."
            ) from None


def _by_whom(port: int) -> str:
    with contextlib.suppress(psutil.Error):  # some systems tell only the superuser
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr.port == port and found.pid:
                command = " ".join(psutil.Process(found.pid).cmdline())
                return f" by process {found.pid} ({command[:100]})"
    return ""


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
            if asked is None and isinstance(taken.holder["process"], int):
                asked = taken.holder["process"]
                os.kill(asked, signal.SIGTERM)
            time.sleep(0.2)
    raise SystemExit(f"Process {asked or '?'} did not stop within {SECONDS_TO_STOP} s")


def repair() -> None:
    """Let the doctor put right what an earlier kill left, and say what it did."""
    found = subprocess.run(
        [sys.executable, "-m", "flows.doctor"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    if found.returncode:
        print(f"The doctor could not look after earlier runs:\n{found.stderr[-2000:]}", flush=True)
    elif "Nothing to repair" not in found.stdout:
        print(f"Repaired after an earlier kill:\n{found.stdout.rstrip()}", flush=True)


def main() -> None:
    """Start all three, say where they are, and stop all of them at the end."""
    prefect, mlflow = f"http://127.0.0.1:{PREFECT_PORT}", f"http://127.0.0.1:{MLFLOW_PORT}"
    where = f"Prefect {prefect}   MLflow {mlflow}"
    try:
        lock = take(LOCK, where)
    except Taken as taken:
        raise SystemExit(
            "Already running: {what} (process {process}). `make down` stops it.".format(
                **taken.holder
            )
        ) from None
    need_space(RUNTIME)
    check_port("Prefect", PREFECT_PORT)
    check_port("MLflow", MLFLOW_PORT)
    for asked_to_end in (signal.SIGTERM, signal.SIGHUP):  # `make down`; the terminal is closed
        signal.signal(asked_to_end, lambda *_: sys.exit(0))
    children: dict[str, subprocess.Popen] = {}
    try:
        children["prefect"] = start(
            "prefect", ["prefect", "server", "start", "--host", "127.0.0.1"]
        )
        database = f"sqlite:///{RUNTIME / 'mlflow.db'}"
        children["mlflow"] = start(
            "mlflow",
            ["mlflow", "server", "--host", "127.0.0.1", "--port", str(MLFLOW_PORT)]
            + ["--workers", "1", "--backend-store-uri", database],
        )
        wait_until_ready("prefect", children["prefect"], f"{prefect}/api/health")
        wait_until_ready("mlflow", children["mlflow"], f"{mlflow}/health")
        repair()
        children["runner"] = start("runner", ["flows.serve"])
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
        for child in reversed(children.values()):  # the runner first: it talks to the servers
            stop(child)
        lock.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stop", action="store_true", help="stop what runs in this checkout")
    asked = parser.parse_args()
    with without_trace():
        (stop_from_elsewhere if asked.stop else main)()
