"""A process is told from a later one with the same number, whatever the clock says."""

import socket
import subprocess
import sys
import time

import psutil
import pytest

from tasks.running.process import is_alive, process_of, this_process

NAME = """
import time; from tasks.running.process import this_process
print(this_process(), flush=True); time.sleep(60)
"""


@pytest.fixture
def other():
    process = subprocess.Popen([sys.executable, "-c", NAME], stdout=subprocess.PIPE, text=True)
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()


def test_a_process_is_alive_until_it_ends_even_before_its_parent_takes_note(other):
    process, name = other
    assert is_alive(name) and process_of(name).pid == process.pid
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not is_alive(name)
    process.wait()
    assert not is_alive(name)


def test_a_clock_that_is_set_changes_no_name(other, monkeypatch):
    _, name = other
    own = this_process()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: now - 1)
    assert is_alive(name) and this_process() == own


@pytest.mark.parametrize("field", [1, 2, 3])
def test_another_number_boot_or_moment_is_another_process(field):
    parts = this_process().split()
    parts[field] = {1: "1", 2: "0" * 8, 3: str(int(parts[3]) + 1)}[field]
    assert not is_alive(" ".join(parts))


@pytest.mark.parametrize("torn", ["", "a", f"{socket.gethostname()} x y z", "a b c d e"])
def test_what_is_no_name_is_nobody(torn):
    assert not is_alive(torn) or torn.split()[0] != socket.gethostname()
    assert process_of(torn) is None


def test_only_its_own_machine_can_tell_that_a_process_is_gone():
    assert is_alive("elsewhere 1 boot 0") and is_alive("elsewhere 1 1700000000.00")
    assert process_of("elsewhere 1 boot 0") is None
