"""`make up`: Prefect, MLflow and the runner in one foreground process; Ctrl-C stops all three.

Everything binds to 127.0.0.1 and keeps its state in `.runtime/`. Ports: PREFECT_PORT (4200),
MLFLOW_PORT (5000).
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from flows.stage import stop
from tasks.process import QUIET

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / ".runtime"
PREFECT_PORT = int(os.environ.get("PREFECT_PORT", "4200"))
MLFLOW_PORT = int(os.environ.get("MLFLOW_PORT", "5000"))
SECONDS_TO_START = 180


def environment() -> dict[str, str]:
    """Return the variables that the servers and the runner share."""
    return os.environ | QUIET | {
        "PREFECT_HOME": str(RUNTIME / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{PREFECT_PORT}/api",
        # the setting and not `--port`: the UI asks this one where the API is
        "PREFECT_SERVER_API_PORT": str(PREFECT_PORT),
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # version 2 calls an outside host
        "PREFECT_RUNNER_POLL_FREQUENCY": "3",
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
                f"Port {port} for {name} is taken. Set {name.upper()}_PORT to another one."
            ) from None


def main() -> None:
    """Start all three, say where they are, and stop all of them at the end."""
    RUNTIME.mkdir(exist_ok=True)
    check_port("Prefect", PREFECT_PORT)
    check_port("MLflow", MLFLOW_PORT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
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
        prefect, mlflow = f"http://127.0.0.1:{PREFECT_PORT}", f"http://127.0.0.1:{MLFLOW_PORT}"
        wait_until_ready("prefect", children["prefect"], f"{prefect}/api/health")
        wait_until_ready("mlflow", children["mlflow"], f"{mlflow}/health")
        children["runner"] = start("runner", ["flows.serve"])
        print(f"Prefect {prefect}   MLflow {mlflow}   (Ctrl-C stops all)", flush=True)
        while all(child.poll() is None for child in children.values()):
            time.sleep(1)
        dead = next(name for name, child in children.items() if child.poll() is not None)
        raise SystemExit(f"{dead} stopped; see {RUNTIME / dead}.log")
    except KeyboardInterrupt:
        print("stopping")
    finally:
        for child in reversed(children.values()):  # the runner first: it talks to the servers
            stop(child)


if __name__ == "__main__":
    main()
