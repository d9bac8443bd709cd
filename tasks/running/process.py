"""A stage's process: quiet, offline-friendly libraries, and no life after its parent's."""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import psutil

from tasks.running.surroundings import ignore_foreign

QUIET = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # the first start writes its database: 20 s are too few on a busy laptop
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}


# What libraries say to each other, not to a user: one message each.
NOISE = (
    ".*is deprecated and will be removed in v6.*",  # transformers 5.23 about TRL 1.16's names
    ".*is deprecated, use `isinstance.*",  # torch 2.13 about Lightning 2.6.6's trees
    ".*module\\(s\\) in eval mode at the start of training.*",  # TRL sets train mode at each step
    ".*does not have many workers.*",  # the pictures of these stages are in memory
    "Total length of .* across ranks is zero.*",  # Lightning 2.6.6 of a training without looks
)
# Lightning 2.6.6 says which accelerators it does not use, and advertises its maker's services;
# MLflow 3.17 that it makes its tables.
TALKATIVE = (
    "lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero",
    "mlflow.store.db.utils",
)  # fmt: skip


def be_quiet() -> None:
    """Switch off telemetry and the noise between libraries; call it before importing them.

    What the surroundings say and do not mean us is ignored as well
    (`tasks/running/surroundings.py`).
    """
    ignore_foreign()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    if not any(Path(device).exists() for device in GPUS):
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or DeepSpeed warns that it is


GPUS = ("/dev/nvidiactl", "/dev/kfd")
SECONDS_TO_STOP = 10  # between asking politely and a kill
PARENT_PROCESS = "COLLIMATE_PARENT_PROCESS"  # variable: the number of whoever started a process


def as_child() -> dict[str, str]:
    """Return the variable with which a started process knows its parent, should it end at once."""
    return {PARENT_PROCESS: str(os.getpid())}


def die_with_parent(by: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to end this process when its parent ends (Linux): no orphaned trainers.

    Args:
        by: SIGKILL where a handler of SIGTERM would wait for another process that ends as well.
    """
    if sys.platform != "linux":
        return
    parent = int(os.environ.pop(PARENT_PROCESS, os.getppid()))  # is not that of its own children
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, int(by), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request was in place
        sys.exit(128 + signal.SIGTERM)


def stop(process: subprocess.Popen) -> None:
    """End a process group, even if its leader is gone: politely first, then for good."""
    with contextlib.suppress(ProcessLookupError):  # nobody is left in it
        os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + SECONDS_TO_STOP
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def this_process() -> str:
    """Name this process so that it can be told from a later one with the same number.

    By the machine, its boot and the kernel's ticks since then: a clock that is set changes none.
    """
    return f"{socket.gethostname()} {os.getpid()} {_boot()} {_began(os.getpid())}"


def is_alive(name: str) -> bool:
    """True if the process that `this_process` named is still there, as far as can be seen here.

    A process of another machine counts as alive: only its own machine can tell.

    >>> is_alive(this_process()), is_alive(f"{socket.gethostname()} 1 boot 0"), is_alive("torn")
    (True, False, False)
    """
    parts = name.split()
    if parts and len(parts) in (3, 4) and parts[0] != socket.gethostname():
        return True
    return process_of(name) is not None


def process_of(name: str) -> psutil.Process | None:
    """Return the process that `this_process` named; None if it is gone."""
    with contextlib.suppress(psutil.Error, ValueError, OSError):
        host, number, boot, began = name.split()
        found = psutil.Process(int(number))
        same = (host, boot, began) == (socket.gethostname(), _boot(), _began(found.pid))
        ended = found.status() == psutil.STATUS_ZOMBIE
        return None if ended or not same else found
    return None


def _boot() -> str:
    """Return what the kernel drew when it started; nothing where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


def _began(process: int) -> str:
    """Return when a process began: in ticks since the boot, or by the clock where none are told."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{psutil.Process(process).create_time():.2f}"
    return fields[19]  # starttime, the 22nd of proc(5); two stand before the bracket


if (
    __name__ == "__main__"
):  # `python -m tasks.running.process repro -s X`: DVC that ends with its parent
    be_quiet()
    die_with_parent()
    from dvc.cli import main

    sys.exit(main(sys.argv[1:]))
