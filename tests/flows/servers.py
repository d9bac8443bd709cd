"""`make up` of a checkout, asked through Prefect's own client, which asks again when told to."""

import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from tests.flows.conftest import environment

T = TypeVar("T")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
UNDER_WAY = ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING")


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def up(checkout: Path, ports: dict[str, str], *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.platform.up", *options], cwd=checkout, text=True,
        env=environment(checkout) | ports, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_until(happened: Callable[[], T], seconds: float, between: float = 0.2) -> T:
    """Return what `happened` returns once it is true; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(between)
    return found


def form(api: SyncPrefectClient, name: str, seconds: float = 60) -> DeploymentResponse:
    """Return a deployment as soon as it is offered."""

    def offered() -> DeploymentResponse | None:
        try:
            return api.read_deployment_by_name(name)
        except ObjectNotFound:
            return None

    return wait_until(offered, seconds)


def state(api: SyncPrefectClient, flow_run) -> str:
    return api.read_flow_run(flow_run).state_type.value


def wait_for_state(
    api: SyncPrefectClient, flow_run, states: Iterable[str] = ENDED, seconds: float = 300
) -> str:
    wait_until(lambda: state(api, flow_run) in states, seconds)
    return state(api, flow_run)


def completes(api: SyncPrefectClient, flow_run) -> None:
    """Wait for a flow run to complete; fail with what it says where it ends otherwise."""
    wait_for_state(api, flow_run)
    ended = api.read_flow_run(flow_run).state
    assert ended.is_completed(), f"{ended.type.value}: {ended.message}"


class Servers:
    """`make up` of a checkout on free ports.

    Attributes:
        told: What it said while starting, all starts together.
        way_in: The address that lets a browser in, since the last start.
    """

    def __init__(self, root: Path):
        self.root = root
        self.ports = {"PREFECT_PORT": free_port(), "MLFLOW_PORT": free_port()}
        self.prefect, self.mlflow = (f"http://127.0.0.1:{port}" for port in self.ports.values())
        self.api: SyncPrefectClient = self.client("none:yet")
        self.way_in = ""
        self.process: subprocess.Popen | None = None
        self.told: list[str] = []

    def ready(self) -> None:
        """Start what is down."""
        if self.process is not None and self.process.poll() is None:
            return
        self.process = up(self.root, self.ports)
        while "Ctrl-C" not in (line := self.process.stdout.readline()):
            assert self.process.poll() is None, self.told[-20:]
            self.told.append(line.strip())
        self.way_in = (self.root / ".runtime" / "way-in").read_text()
        self.api = self.client(b64decode(self.way_in.partition("#")[2]).decode())

    def client(self, password: str) -> SyncPrefectClient:
        return SyncPrefectClient(f"{self.prefect}/api", auth_string=password)

    def start(self, name: str) -> str:
        """Start a flow as its form does when nothing is changed in it."""
        offered = form(self.api, name)
        made = self.api.create_flow_run_from_deployment(offered.id, parameters=offered.parameters)
        return str(made.id)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
