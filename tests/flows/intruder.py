"""What another user of the machine tries: run by test_attacks.py as somebody else."""

import base64
import contextlib
import fcntl
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    prefect, mlflow, root, deployment, stolen = sys.argv[1:6]
    found: dict[str, str] = {}
    guess = "Basic " + base64.b64encode(b"collimate:collimate").decode()
    ajax, api = f"{mlflow}/ajax-api", f"{mlflow}/api/2.0"
    script = f"touch /tmp/{stolen}"
    step = {"prefect.deployments.steps.run_shell_script": {"script": script}}

    def attempt(name: str, do: Callable[[], Any]) -> None:
        try:
            found[name] = str(do())[:200]
        except Exception as error:
            told = f"{type(error).__name__} {getattr(error, 'code', '')}"
            found[name] = f"refused: {told}".strip()

    def ask(address: str, body: Any = None, method: str = "", **headers: str) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        said = {"Content-Type": "application/json"} | headers
        kind = method or ("GET" if data is None else "POST")
        request = urllib.request.Request(address, data=data, headers=said, method=kind)
        return urllib.request.urlopen(request, timeout=10).read()

    def lock() -> None:
        with open(f"{root}/.runtime/chain.lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    own = f"{prefect}/api/deployments/{deployment}"
    attempt("pull steps", lambda: ask(own, {"pull_steps": [step]}, "PATCH"))
    attempt("start", lambda: ask(f"{own}/create_flow_run", {}))
    attempt("read", lambda: ask(f"{prefect}/api/deployments/filter", {}))
    attempt("admin", lambda: ask(f"{prefect}/api/admin/settings"))
    attempt("guess", lambda: ask(f"{prefect}/api/flows/filter", {}, Authorization=guess))
    attempt("path", lambda: ask(f"{prefect}/api/health/../flows/filter", {}))
    attempt("assistant", lambda: ask(f"{ajax}/3.0/mlflow/assistant/message", {"message": script}))
    attempt(
        "upload", lambda: ask(f"{ajax}/2.0/mlflow/upload-artifact?run_uuid=0&path={stolen}", {})
    )
    attempt("artifact", lambda: ask(f"{api}/mlflow-artifacts/artifacts/{stolen}", {}, "PUT"))
    attempt("runs", lambda: ask(f"{api}/mlflow/runs/create", {"experiment_id": "0"}))
    attempt("guessed", lambda: ask(f"{mlflow}/version", Authorization=guess))
    attempt("runtime", lambda: os.listdir(f"{root}/.runtime"))
    attempt("way in", lambda: Path(f"{root}/.runtime/way-in").read_text())
    attempt("database", lambda: Path(f"{root}/.runtime/mlflow.db").read_bytes())
    attempt("credentials", lambda: Path(f"{root}/.dvc/config.local").read_text())
    attempt("lock", lock)
    for process in (entry for entry in os.listdir("/proc") if entry.isdigit()):
        place = Path("/proc", process)
        with contextlib.suppress(OSError):  # a process of others may end meanwhile
            if int(process) != os.getpid() and b"flows." in (place / "cmdline").read_bytes():
                attempt(f"variables {process}", (place / "environ").read_bytes)
    for line in Path("/proc/net/unix").read_text().splitlines():
        if "/warm-" in line:
            address = line.split()[-1]
            attempt(
                f"socket {address}", lambda at=address: socket.socket(socket.AF_UNIX).connect(at)
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
