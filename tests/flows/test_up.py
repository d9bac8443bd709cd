"""`make up` and `make down`: real servers on free ports, and a clear line for each case."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.flows.conftest import environment

pytestmark = pytest.mark.chain


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout({})


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return {"PREFECT_PORT": free_port(), "MLFLOW_PORT": free_port()}


def up(checkout: Path, ports: dict[str, str], *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.up", *options], cwd=checkout, text=True,
        env=environment(checkout) | ports, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def said(process: subprocess.Popen) -> str:
    return process.communicate(timeout=120)[0]


@pytest.fixture
def running(checkout, ports) -> Iterator[subprocess.Popen]:
    process = up(checkout, ports)
    lines = []
    while "Ctrl-C" not in (line := process.stdout.readline()):
        assert process.poll() is None, "".join(lines)
        lines.append(line)
    yield process
    process.terminate()
    process.wait(60)


def children(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_both_servers_answer_and_both_flows_are_offered(running, ports):
    api = f"http://127.0.0.1:{ports['PREFECT_PORT']}/api"
    assert urllib.request.urlopen(f"http://127.0.0.1:{ports['MLFLOW_PORT']}/health").status == 200
    deadline, names = time.monotonic() + 60, set()
    while names != {"align", "reinforce"} and time.monotonic() < deadline:
        asked = urllib.request.Request(
            f"{api}/flows/filter", b"{}", {"Content-Type": "application/json"}
        )
        names = {flow["name"] for flow in json.load(urllib.request.urlopen(asked))}
        time.sleep(0.5)
    assert names == {"align", "reinforce"}


def test_a_second_start_says_who_is_there_and_stop_ends_all(checkout, ports, running):
    started = children(running)
    second = up(checkout, ports)
    told = said(second)
    assert second.returncode == 1 and "Already running" in told and str(running.pid) in told
    assert said(up(checkout, ports, "--stop")).strip() == "Stopped."
    running.wait(10)
    assert [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    assert said(up(checkout, ports, "--stop")).strip() == "Nothing is running."


def test_a_taken_port_is_named(checkout, ports):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of servers just stopped
        taken.bind(("127.0.0.1", int(ports["MLFLOW_PORT"])))
        taken.listen()
        process = up(checkout, ports)
        assert "for MLflow is taken" in said(process) and process.returncode == 1


def test_a_child_that_dies_ends_all_and_is_named(checkout, running):
    [server] = [p for p in psutil.Process(running.pid).children() if "mlflow" in p.cmdline()]
    os.kill(server.pid, signal.SIGKILL)
    told = said(running)
    assert "mlflow stopped; see" in told and "`make up` starts all again" in told
