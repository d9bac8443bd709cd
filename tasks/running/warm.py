"""Stages that start warm: a process that has the libraries in memory forks one for each.

Loading torch, transformers, TRL, Lightning and MLflow takes ten seconds, and a chain has nine
stages. Under `make up` the runner keeps the process from one chain to the next. Only libraries are
loaded ahead, never our own code: a stage is what is on disk when it starts. Where there is a GPU
nothing is loaded ahead, because a driver that was asked before the fork may fail after it, and ten
seconds are nothing there.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tasks.running.private import runtime
from tasks.running.process import SECONDS_TO_STOP, as_child, be_quiet, die_with_parent

ADDRESS = "COLLIMATE_WARM"  # variable: the socket of the waiting process
LIBRARIES = (
    "datasets", "dvc.repo", "dvc_data.hashfile.build", "faster_coco_eval.core", "git", "jinja2",
    "lightning.pytorch", "lightning.pytorch.loggers", "matplotlib.figure",
    "mlflow.data.meta_dataset",
    "mlflow.store.tracking.sqlalchemy_workspace_store", "opentelemetry.sdk.metrics", "peft",
    "scipy.stats", "torch._dynamo", "transformers.models.qwen3_vl.modeling_qwen3_vl",
    "transformers.models.qwen3_vl.processing_qwen3_vl", "trl.trainer.dpo_trainer",
    "trl.trainer.grpo_trainer", "trl.trainer.reward_trainer", "trl.trainer.sft_trainer",
)  # fmt: skip


@contextlib.contextmanager
def standby(root: Path) -> Iterator[None]:
    """Keep a process with the libraries for the stages that start meanwhile.

    Where one waits already (the runner's) it is the one; where libraries are not to be loaded
    ahead, there is none.
    """
    if waiting := _connected():
        waiting.close()
    if waiting or sys.platform != "linux" or Path("/dev/nvidiactl").exists():
        yield
        return
    for left in runtime(root).glob("warm-*"):
        if not psutil.pid_exists(int(left.name.split("-")[1])):
            left.unlink(missing_ok=True)  # a kill left it
    # in a folder that only its owner can enter: who connects has programs run
    address = runtime(root) / f"warm-{os.getpid()}-{secrets.token_hex(4)}"
    with socket.socket(socket.AF_UNIX) as door:
        with _short(address) as name:
            door.bind(name)
        door.listen()  # who comes early waits for the libraries
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.running.warm", str(door.fileno())],
            cwd=root,
            env=os.environ | as_child() | {"PYTHONPATH": str(root)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is for the flow, which ends this one
            pass_fds=[door.fileno()],
        )
    os.environ[ADDRESS] = str(address)
    try:
        yield
    finally:
        del os.environ[ADDRESS]
        process.terminate()
        process.wait()
        address.unlink(missing_ok=True)


@contextlib.contextmanager
def _short(address: Path) -> Iterator[str]:
    """Yield a name for a socket's path that fits into the 108 bytes which there are for one."""
    folder = os.open(address.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{address.name}"
    finally:
        os.close(folder)


def run_warm(command: list[str]) -> int | None:
    """Let the waiting process run `python -m tasks.run` with the words of a command line.

    Returns:
        The exit status; None if nobody waits.
    """
    if (server := _connected()) is None:
        return None
    with server:
        socket.send_fds(server, [b"\0"], [0, 1, 2])
        request = {"command": command, "folder": os.getcwd(), "environment": dict(os.environ)}
        server.sendall(json.dumps(request).encode() + b"\n")
        status = server.makefile().readline()
    return int(status) if status else 128 + signal.SIGKILL


def _connected() -> socket.socket | None:
    """Return a connection to the process that waits; None if nobody does."""
    server = socket.socket(socket.AF_UNIX)
    try:
        with _short(Path(os.environ[ADDRESS])) as name:
            server.connect(name)
    except (KeyError, OSError):
        server.close()
        return None
    return server


def _serve(handle: int) -> None:
    """Fork a process for each request, one at a time; returns in the forked one."""
    with socket.socket(fileno=handle) as door:
        for name in LIBRARIES:
            importlib.import_module(name)
        # a stage's garbage collector would go through them all: 2.2 s at its end, 0.4 s without
        gc.freeze()
        while True:
            client, _ = door.accept()
            with client:
                _, streams, *_ = socket.recv_fds(client, 1, 3)
                request = client.makefile().readline()
                if not request:  # who only looked, or was killed before it had said what it wants
                    continue
                parent = as_child()
                if not (stage := os.fork()):
                    _become(json.loads(request), streams, parent)
                    return
                for stream in streams:
                    os.close(stream)
                with contextlib.suppress(BrokenPipeError):
                    client.sendall(f"{_wait(stage, client)}\n".encode())


def _become(request: dict, streams: list[int], parent: dict[str, str]) -> None:
    os.setpgid(0, 0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"] | parent)
    del os.environ[ADDRESS]
    sys.argv = ["tasks/run.py", *request["command"]]
    for name in [name for name in sys.modules if name.split(".")[0] == "tasks"]:
        del sys.modules[name]  # the few of ours that this process needed itself
    die_with_parent()


def _wait(stage: int, client: socket.socket) -> int:
    """Wait for a stage, and end it if whoever asked for it has ended."""
    with contextlib.suppress(OSError):  # the stage was faster
        os.setpgid(stage, stage)
    ended = os.pidfd_open(stage)
    if ended not in select.select([ended, client], [], [])[0]:
        os.killpg(stage, signal.SIGTERM)
        if not select.select([ended], [], [], SECONDS_TO_STOP)[0]:
            os.killpg(stage, signal.SIGKILL)
    os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(stage, 0)[1])


def _leave_at_once(finished: list[bool]) -> None:
    """End a stage that has finished here: to take the libraries apart would take 0.4 s."""
    if finished:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    finished: list[bool] = []
    atexit.register(_leave_at_once, finished)  # before the libraries, whose own come first then
    be_quiet()
    die_with_parent()
    _serve(int(sys.argv[1]))
    runpy.run_module("tasks.run", run_name="__main__", alter_sys=True)
    finished.append(True)
