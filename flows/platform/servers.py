"""Prefect's and MLflow's servers of a checkout on 127.0.0.1, each behind `flows/platform/gate.py`.

`python -m flows.platform.servers prefect|mlflow N` is one server on the open socket N, which ends
with whoever started it. A flow in a shell has a Prefect server of its own while it runs, unless
PREFECT_API_URL names one.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import psutil

from tasks.running.errors import UserError
from tasks.running.private import new_password, runtime
from tasks.running.process import QUIET, as_child, die_with_parent

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / ".runtime"
SECONDS_TO_START = 180
_doors: list[socket.socket] = []  # of this process's own server
HEALTH = {"prefect": "/api/health", "mlflow": "/health"}


def address(port: int) -> str:
    """Return what browsers call a server: this name and no other."""
    return f"http://127.0.0.1:{port}"


def listen(name: str, port: int = 0) -> socket.socket:
    """Take a port before its server is started, so that nobody else can come first.

    Args:
        port: 0 for any free one.

    Raises:
        UserError: It is taken; the message says by whom, where the system tells.
    """
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of servers just stopped
    try:
        door.bind(("127.0.0.1", port))
    except OSError:
        door.close()
        raise UserError(
            f"Port {port} for {name} is taken{_by_whom(port)}",
            "two programs cannot listen on one port",
            f"end what is there, or set {name.upper()}_PORT to another one",
        ) from None
    door.listen(128)
    return door


def _by_whom(port: int) -> str:
    with contextlib.suppress(psutil.Error):  # some systems tell only the superuser
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr.port == port and found.pid:
                command = " ".join(psutil.Process(found.pid).cmdline())
                return f" by process {found.pid} ({command[:100]})"
    return ""


def environment(secret: str, prefect_port: int, mlflow_port: int = 0) -> dict[str, str]:
    """Return the variables that the servers and the runner share.

    Args:
        secret: user:password of both servers.
        mlflow_port: 0 where there is only Prefect's server.
    """
    shared = os.environ | QUIET | {
        "PREFECT_HOME": str(RUNTIME / "prefect"),
        "PREFECT_API_URL": f"{address(prefect_port)}/api",
        # the setting and not `--port`: the UI asks this one where the API is
        "PREFECT_SERVER_API_PORT": str(prefect_port),
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_API_AUTH_STRING": secret,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address(prefect_port),
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # see `flows.platform.gate.prefect`
        "PREFECT_RUNNER_POLL_FREQUENCY": "3",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    if mlflow_port:  # flows link their runs to it
        shared["COLLIMATE_MLFLOW_UI"] = address(mlflow_port)
    return shared


def start(
    name: str, command: list[str], variables: dict[str, str], doors: Sequence[socket.socket] = ()
) -> subprocess.Popen:
    """Start a child in its own process group with its output in `.runtime/<name>.log`.

    Args:
        doors: Sockets that it listens on.
    """
    with (runtime(ROOT) / f"{name}.log").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=variables | as_child(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=[door.fileno() for door in doors],
            start_new_session=True,
        )


def start_server(
    name: str, door: socket.socket, variables: dict[str, str], other: int = 0
) -> subprocess.Popen:
    """Start one of the two servers.

    Args:
        door: The socket that it listens on. It stays open here as well: if the server dies, nobody
            else can take its port and be told the password by those who ask it.
        other: The other server's port, for the way in; 0 if there is none.
    """
    own = {
        "COLLIMATE_ADDRESS": address(door.getsockname()[1]),
        "COLLIMATE_OTHER_ADDRESS": address(other) if other else "",
    }
    if name == "mlflow":
        own |= {
            "COLLIMATE_PASSWORD": variables["PREFECT_API_AUTH_STRING"],
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{RUNTIME / 'mlflow.db'}",
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": (RUNTIME / "mlartifacts").as_uri(),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # starts ten processes otherwise
        }
    return start(
        name, ["flows.platform.servers", name, str(door.fileno())], variables | own, [door]
    )


def wait_until_ready(name: str, process: subprocess.Popen, port: int) -> None:
    """Wait until a server answers.

    Raises:
        UserError: It ended first, or took too long.
    """
    file, began = RUNTIME / f"{name}.log", time.monotonic()
    url = address(port) + HEALTH[name]
    # whatever HTTP_PROXY says: a proxy would look for 127.0.0.1 on its own machine
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() - began < SECONDS_TO_START:
        if process.poll() is not None:
            raise UserError(f"{name} stopped while starting", f"{file} says why", "see there")
        with contextlib.suppress(OSError):
            direct.open(url, timeout=2).read()
            return
        time.sleep(0.1)
    raise UserError(
        f"{name} did not answer within {SECONDS_TO_START} s", f"{file} may say why", "see there"
    )


def own_server() -> None:
    """Start a Prefect server that ends with this process, unless PREFECT_API_URL names one.

    It is ours and not the one that Prefect would start by itself, which lets anybody in, and which
    a terminal's Ctrl-C ends before its flow. It is not stopped here: Prefect sends its last log
    lines when the interpreter ends.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        return
    _doors.append(door := listen("prefect"))
    port = door.getsockname()[1]
    variables = environment(new_password(), port)
    headless = {"PREFECT_UI_ENABLED": "false", "PREFECT__SERVER_EPHEMERAL": "true"}
    server = start_server("prefect", door, variables | headless)
    wait_until_ready("prefect", server, port)
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
        os.environ[name] = variables[name]
    refresh_global_settings_context()


def _serve(name: str, handle: int) -> None:
    import uvicorn

    config = uvicorn.Config(
        f"flows.platform.gate:{name}",
        factory=True,
        log_level="warning",
        server_header=False,
        lifespan="on",
    )
    with socket.socket(fileno=handle) as door:
        uvicorn.Server(config).run(sockets=[door])


if __name__ == "__main__":
    die_with_parent()
    _serve(sys.argv[1], int(sys.argv[2]))
