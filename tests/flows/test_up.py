"""`make up` and `make down`: real servers on free ports, and a clear line for each case."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import PrefectHTTPStatusError

from tests.flows.servers import Servers, form, up, wait_for_state, wait_until

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout({})


@pytest.fixture(scope="module")
def servers(checkout) -> Iterator[Servers]:
    # a lock that is no longer held keeps nobody out
    (checkout / ".runtime" / "up.lock").write_text('{"by": "x 1 y 0", "what": "an earlier start"}')
    servers = Servers(checkout)
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def ports(servers) -> dict[str, str]:
    return servers.ports


def said(process: subprocess.Popen) -> str:
    return process.communicate(timeout=120)[0]


@pytest.fixture
def running(servers) -> subprocess.Popen:
    """Return `make up`, started again where the test before has ended it."""
    servers.ready()
    return servers.process


def children(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_both_servers_answer_and_both_flows_are_offered(servers, running):
    assert urllib.request.urlopen(f"{servers.mlflow}/health").status == 200
    for name in (
        "align/chain",
        "reinforce/few-shot",
        "judge/judge",
        "ground/ground",
        "caption/caption",
        "think/think",
        "retrieve/retrieve",
    ):
        offered = form(servers.api, name)
        assert offered.description and offered.tags and offered.parameters["settings"]
    assert len(servers.api.read_deployments()) == 7
    # no page invites to version 2, which calls an outside host
    told = urllib.request.urlopen(f"{servers.prefect}/ui-settings")
    assert json.load(told)["available_uis"] == ["v1"]


def test_a_value_out_of_bounds_is_refused_by_the_server_and_by_the_flow(servers, running, checkout):
    before = (checkout / "params.yaml").read_text()
    offered = form(servers.api, "align/chain")
    asked = {"settings": offered.parameters["settings"] | {"seed": -1}}
    with pytest.raises(PrefectHTTPStatusError, match="-1 is less than the minimum of 0"):
        servers.api.create_flow_run_from_deployment(offered.id, parameters=asked)
    unchecked = DeploymentUpdate(enforce_parameter_schema=False)
    servers.api.update_deployment(offered.id, unchecked)
    made = servers.api.create_flow_run_from_deployment(offered.id, parameters=asked)
    assert wait_for_state(servers.api, made.id) == "FAILED"
    assert "greater than or equal to 0" in servers.api.read_flow_run(made.id).state.message
    assert (checkout / "params.yaml").read_text() == before
    assert not (checkout / "outputs" / "intake").exists()


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="nothing is loaded ahead beside a GPU")
def test_the_runner_keeps_a_process_with_the_libraries(running):
    def waits() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):  # one of them ended meanwhile
            return any("tasks.running.warm" in process.cmdline() for process in children(running))
        return False

    wait_until(waits, 60)


def test_a_second_start_says_who_is_there_and_stop_ends_all(checkout, ports, running):
    started = children(running)
    second = up(checkout, ports)
    told = said(second)
    assert second.returncode == 1 and "Already running" in told and str(running.pid) in told
    assert said(up(checkout, ports, "--stop")).strip() == "Stopped."
    running.wait(10)
    assert [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    assert said(up(checkout, ports, "--stop")).strip() == "Nothing is running."


def test_a_closed_terminal_and_an_impatient_user_leave_nobody_behind(servers, running):
    started = children(running)
    for asked_to_end in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        running.send_signal(asked_to_end)
        time.sleep(0.1)
    running.wait(60)
    assert [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def test_a_taken_port_is_named(checkout, ports):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of servers just stopped
        taken.bind(("127.0.0.1", int(ports["MLFLOW_PORT"])))
        taken.listen()
        process = up(checkout, ports)
        told = said(process)
        assert f"for mlflow is taken by process {os.getpid()} (" in told, told
        assert process.returncode == 1


def test_a_child_that_dies_ends_all_and_is_named(checkout, running):
    [server] = [p for p in psutil.Process(running.pid).children() if "mlflow" in p.cmdline()]
    os.kill(server.pid, signal.SIGKILL)
    told = said(running)
    assert "mlflow stopped; see" in told and "`make up` starts all again" in told
