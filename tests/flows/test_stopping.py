"""Six ways to stop a chain: nothing is left of it, and every record says what happened."""

import contextlib
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling, Suspended

from tasks.asking.memory import FILE
from tests.flows.conftest import environment, runs_of
from tests.flows.servers import Servers, form, state, wait_until
from tests.flows.test_chain import SMALL, servers_of, stages_alive, wait_for

SECONDS = 60  # on an idle machine 15 are enough; three files are tested at a time
RECORDED = {"KILLED", "FINISHED"}  # of MLflow's runs
UNENDED = {"RUNNING", "PENDING", "SCHEDULED", "CANCELLING", "PAUSED"}
# hot answers are long and all different; cooler ones were there before the stage was told to stop
LONG = SMALL | {
    "synthesis": {"questions": 14, "attempts": 64, "captions": 9, "temperature": 2.0},
    "machine": {"processes": 1},
}

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout(LONG)


@pytest.fixture(autouse=True)
def nothing_answered(checkout) -> None:
    for file in (checkout / ".runtime").glob(f"{FILE}*"):
        file.unlink()


def at_work(checkout: Path) -> None:
    """Wait until a stage answers questions."""
    wait_for(checkout / ".runtime" / "scratch", "synthesis-*")
    before = answered(checkout)
    wait_until(lambda: answered(checkout) > before, 120)
    assert stages_alive(checkout)
    for process in stages_alive(checkout):
        with contextlib.suppress(psutil.Error):
            doors = psutil.Process(process).net_connections("inet")
            assert [door for door in doors if door.status == psutil.CONN_LISTEN] == []


def answered(checkout: Path) -> int:
    """Return how many answers are remembered; where one stays behind, its stage is at work."""
    with contextlib.suppress(sqlite3.OperationalError):  # not made yet
        where = f"{(checkout / '.runtime' / FILE).as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(where, uri=True)) as database:
            return database.execute("SELECT count(*) FROM answers").fetchone()[0]
    return 0


def nobody_is_left(checkout: Path, servers: bool = True) -> None:
    def left() -> list[int]:
        return stages_alive(checkout) + (servers_of(checkout) if servers else [])

    wait_until(lambda: not left(), SECONDS)


def states_of(checkout: Path, kind: str) -> set[str]:
    """Return the states in Prefect's database of a checkout whose servers have ended."""
    where = checkout / ".runtime" / "prefect" / "prefect.db"
    with contextlib.closing(sqlite3.connect(where)) as database:
        return {name for (name,) in database.execute(f"SELECT state_type FROM {kind}")}


def every_record_has_an_end(checkout: Path) -> None:
    assert not (states_of(checkout, "flow_run") | states_of(checkout, "task_run")) & UNENDED
    assert {run.info.status for run in runs_of(checkout)} <= RECORDED


def flow(checkout: Path, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.align"], cwd=checkout, env=environment(checkout),
        stdout=(checkout / "said.txt").open("w"), stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "asked", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.night)]
)
def test_a_flow_in_a_shell_that_is_asked_to_end(checkout, asked):
    process = flow(checkout, start_new_session=True)
    at_work(checkout)
    process.send_signal(asked)
    nobody_is_left(checkout)
    assert process.wait(5) != 0
    every_record_has_an_end(checkout)


def test_ctrl_c_in_a_terminal(checkout):
    """The terminal sends the signal to everybody in it, as a real one does."""
    terminal, other = pty.openpty()
    command = [sys.executable, "-m", "flows.align"]
    child = os.fork()
    if not child:
        os.close(terminal)
        os.login_tty(other) if hasattr(os, "login_tty") else _login(other)
        os.chdir(checkout)
        os.execve(sys.executable, command, environment(checkout))
    os.close(other)
    reader = _drain(terminal)
    at_work(checkout)
    os.write(terminal, b"\x03")
    nobody_is_left(checkout)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) != 0
    reader.join(5)
    assert b"Traceback" not in reader.said
    every_record_has_an_end(checkout)


def _login(other: int) -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(other, termios.TIOCSCTTY, 0)
    for stream in (0, 1, 2):
        os.dup2(other, stream)


def _drain(terminal: int):
    import threading

    class Reader(threading.Thread):
        said = b""

        def run(self):
            with contextlib.suppress(OSError):
                while data := os.read(terminal, 4096):
                    self.said += data

    reader = Reader(daemon=True)
    reader.start()
    return reader


@pytest.fixture(scope="module")
def servers(checkout) -> Iterator[Servers]:
    servers = Servers(checkout)
    servers.ready()
    yield servers
    servers.stop()


@pytest.mark.parametrize("first", [None, Suspended()])
def test_cancel_and_suspend_then_cancel(checkout, servers, first):
    servers.ready()
    made = servers.start("align/chain")
    at_work(checkout)
    if first is not None:
        servers.api.set_flow_run_state(made, first, force=True)
        time.sleep(2)
    servers.api.set_flow_run_state(made, Cancelling(), force=first is not None)
    nobody_is_left(checkout, servers=False)
    wait_until(lambda: state(servers.api, made) == "CANCELLED", SECONDS)

    def ended() -> bool:  # Prefect hears of a task's end a moment after its flow's
        tasks = servers.api.read_task_runs()
        runs = {run.info.status for run in runs_of(checkout)}
        return not [t for t in tasks if t.state_type.value in UNENDED] and runs <= RECORDED

    wait_until(ended, SECONDS)


def runners_of(checkout: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "flows.platform.serve" in process.cmdline() and Path(process.cwd()) == checkout:
                found.append(process.pid)
    return found


def test_make_down_ends_the_stage_as_well(checkout, servers):
    servers.ready()
    made = servers.start("align/chain")
    at_work(checkout)
    assert form(servers.api, "align/chain") and state(servers.api, made) == StateType.RUNNING.value
    down = subprocess.run(
        [sys.executable, "-m", "flows.platform.up", "--stop"], cwd=checkout, capture_output=True,
        text=True, env=environment(checkout) | servers.ports,
    )  # fmt: skip
    assert down.stdout.strip() == "Stopped."
    assert stages_alive(checkout) + servers_of(checkout) == []  # as soon as it says so
    nobody_is_left(checkout)
    assert runners_of(checkout) == []
    every_record_has_an_end(checkout)
