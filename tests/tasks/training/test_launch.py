"""Processes of a training listen to nobody outside, and end together."""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from models.engine.checkpoints import fault
from models.engine.meeting import strangers
from tasks.running.errors import UserError
from tasks.world.base import go_on
from tasks.world.shards import make_sample
from tests.tasks.training.trainings import fine_tuned

ROOT = Path(__file__).resolve().parents[3]


class Watch:
    """Addresses that were listened on, and by which processes (and forks on their way to exec)."""

    def __init__(self):
        self.processes: set[int] = set()
        self.addresses: set[str] = set()


@contextmanager
def watched(root: int | None = None) -> Iterator[Watch]:
    """Look at the listening sockets of this process and of all that it starts."""
    found, over = Watch(), threading.Event()
    own = psutil.Process(root)

    def look() -> None:
        while not over.wait(0.2):
            for process in (own, *own.children(recursive=True)):
                try:
                    sockets = process.net_connections("inet")
                except psutil.Error:
                    continue  # it ended meanwhile
                listening = [s for s in sockets if s.status == psutil.CONN_LISTEN]
                found.addresses.update(s.laddr.ip for s in listening)
                if listening:
                    found.processes.add(process.pid)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@pytest.fixture
def common(model_folder, tmp_path) -> dict:
    return {
        "model": model_folder, "steps": 2, "out": str(tmp_path / "out"),
        "scratch": str(tmp_path / "scratch"), "run_id": "", "seed": 0, "device": "cpu",
    }  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[tuple]:
    samples = [make_sample(0, "train", "find", number) for number in range(8)]
    return [(s.prompt, s.answer, s.images) for s in samples]


# DeepSpeed compiles its communication for two minutes
@pytest.mark.parametrize(
    "strategy", ["ddp", pytest.param("deepspeed_stage_2", marks=pytest.mark.night)]
)
def test_processes_of_one_machine_listen_on_the_loopback_interface_only(strategy, rows, common):
    options = {"learning_rate": 1e-3, "batch": 4, "devices": 2, "strategy": strategy}
    with watched() as seen:
        fine_tuned(rows, **options, **common)
    assert seen.addresses == {"127.0.0.1"} and len(seen.processes) >= 2


@pytest.mark.night
def test_deepspeed_in_one_process_continues_and_listens_to_nobody_outside(rows, common):
    code = (
        "import pickle, sys; from tests.tasks.training.trainings import fine_tuned;"
        "rows, options = pickle.load(sys.stdin.buffer);"
        "first = fine_tuned(rows, steps=2, **options);"
        "both = fine_tuned(rows, steps=4, **options);"
        "assert [row['step'] for row in both] == [1, 2, 3, 4] and both[:2] == first"
    )
    options = common | {"learning_rate": 1e-3, "batch": 4, "strategy": "deepspeed_stage_2"}
    del options["steps"]
    with watched() as seen:
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            input=pickle.dumps((rows, options)), check=True,
        )  # fmt: skip
    assert seen.addresses == {"127.0.0.1"}
    scratch = Path(common["scratch"])
    assert fault(scratch / "last.ckpt") == fault(scratch / "last-before.ckpt") == ""


def test_habits_in_two_processes_listen_on_the_loopback_interface_only(model_folder, tmp_path):
    with watched() as seen:
        go_on(
            model_folder, tmp_path, False, diet="habits", steps=2, learning_rate=1e-3, hold=0.5,
            processes=2, seed=0,
        )  # fmt: skip
    assert seen.addresses == {"127.0.0.1"} and len(seen.processes) >= 2


def test_habits_in_two_processes_are_not_left_when_their_stage_is_killed(model_folder, tmp_path):
    work = (
        "import sys; from pathlib import Path; from tasks.world.base import go_on\n"
        "go_on(sys.argv[1], Path(sys.argv[2]), False, diet='habits', steps=1000,"
        " learning_rate=1e-3, hold=0.5, processes=2, seed=0)"
    )
    stage = subprocess.Popen(
        [sys.executable, "-c", work, model_folder, str(tmp_path)], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    trainers = wait_for_trainers(stage)
    stage.kill()
    stage.wait()
    # who loads looks after its parent every five seconds, and ends what it has begun
    _, left = psutil.wait_procs(trainers, 60)
    assert trainers and not left


def wait_for_trainers(stage: subprocess.Popen) -> list[psutil.Process]:
    """Return the processes of a training that have begun to work, with those that load for them."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):  # others come and go while it starts
            started = psutil.Process(stage.pid).children()
            if len([one for child in started for one in child.children()]) == 2:
                return psutil.Process(stage.pid).children(recursive=True)
        assert stage.poll() is None
        time.sleep(0.2)
    raise AssertionError("the training did not start")


def test_two_machines_meet_at_the_named_address(rows, common, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder = Path(common["scratch"]) / "launch"
    others: list[subprocess.Popen] = []

    def start_the_other() -> None:
        while not (folder / "order.json").exists():
            time.sleep(0.05)
        command = [sys.executable, "-m", "tasks.training.work", str(folder)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        others.append(subprocess.Popen([*command, "--node", "1"], cwd=ROOT, env=environment))

    thread = threading.Thread(target=start_the_other)
    with watched() as seen:
        thread.start()
        history = fine_tuned(
            rows, learning_rate=1e-3, batch=4, nodes=2, rendezvous=address, **common
        )  # fmt: skip
        assert others[0].wait(60) == 0
    assert [row["step"] for row in history] == [1, 2]
    assert seen.addresses == {"127.0.0.1"} and len(seen.processes) >= 2


def test_an_address_of_another_machine_is_refused(rows, common, capfd):
    options = {"learning_rate": 1e-3, "batch": 4, "nodes": 2, "rendezvous": "192.0.2.1:29500"}
    with pytest.raises(UserError, match="process 0 ended with status 1"):
        fine_tuned(rows, **options, **common)
    said = capfd.readouterr()
    assert "The machines could not meet at 192.0.2.1:29500" in said.err
    assert "on machine 1, in this folder, run: " in said.out


def test_when_one_process_fails_the_others_are_ended(rows, common):
    before = {p.pid for p in psutil.Process().children()}
    with pytest.raises(UserError, match="Training in 2 processes failed"):
        fine_tuned(
            rows, learning_rate=1e-3, batch=4, devices=2, **{**common, "model": "/nowhere"}
        )  # fmt: skip
    assert {p.pid for p in psutil.Process().children()} == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_process_of_another_user_is_seen_at_the_other_end():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        for user, expected in ((os.getuid(), []), (65534, [65534])):
            if not (child := os.fork()):
                os.setuid(user)
                with socket.create_connection(door.getsockname()) as talk:
                    talk.recv(1)  # until it is closed
                os._exit(0)
            with door.accept()[0]:
                assert strangers(psutil.Process()) == expected
            os.waitpid(child, 0)
