"""A process that forks stages: they end as they would alone, and never outlive who asked."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks.running.warm import ADDRESS, standby

ROOT = Path(__file__).resolve().parents[3]
ASK = "import sys; from tasks.running.warm import run_warm; sys.exit(run_warm(sys.argv[1:]))"
PROGRAM = """
import os, signal, sys, time

def main():
    print("torch" in sys.modules, os.getcwd(), os.environ["MINE"], flush=True)
    if sys.argv[1] == "end":
        sys.exit(int(sys.argv[2]))
    if sys.argv[1] == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.argv[1] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "fail":
        raise RuntimeError("the reason")
    print(os.getpid(), flush=True)
    time.sleep(600)

main()
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Iterator[Path]:
    if sys.platform != "linux":
        pytest.skip("stages start warm on Linux only")
    root = tmp_path_factory.mktemp("tree")
    (root / "tasks").mkdir()
    shutil.copy(ROOT / "tasks" / "__init__.py", root / "tasks")
    shutil.copytree(ROOT / "tasks" / "running", root / "tasks" / "running")
    with standby(root):
        yield root


def ask(tree: Path, *words: str) -> subprocess.Popen:
    (tree / "tasks" / "run.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "-c", ASK, *words], cwd=tree, text=True,
        env=os.environ | {"PYTHONPATH": str(tree), "MINE": "yes"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("status", ["0", "3"])
def test_a_stage_has_the_libraries_its_folder_its_variables_and_its_status(tree, status):
    asked = ask(tree, "end", status)
    said, _ = asked.communicate()
    assert said.split() == ["True", str(tree), "yes"] and asked.returncode == int(status)


def test_an_error_and_a_kill_look_as_they_would_alone(tree):
    failed = ask(tree, "fail")
    assert "RuntimeError: the reason" in failed.communicate()[1] and failed.returncode == 1
    assert ask(tree, "die").wait() == 256 - signal.SIGKILL


def test_a_stage_is_the_code_on_disk(tree):
    assert ask(tree, "end", "0").wait() == 0
    (tree / "tasks" / "run.py").write_text("raise SystemExit(7)\n")
    assert subprocess.run([sys.executable, "-c", ASK], cwd=tree).returncode == 7


@pytest.mark.parametrize("manner", ["sleep", "stubborn"])
def test_a_stage_ends_with_whoever_asked_for_it(tree, manner):
    asked = ask(tree, manner)
    asked.stdout.readline()
    stage = psutil.Process(int(asked.stdout.readline()))
    asked.kill()
    stage.wait(15)
    assert ask(tree, "end", "0").wait() == 0  # and the next one is served


def test_nobody_waits_where_no_process_was_started(tree):
    environment = {name: value for name, value in os.environ.items() if name != ADDRESS}
    said = subprocess.run(
        [sys.executable, "-c", "from tasks.running.warm import run_warm; print(run_warm([]))"],
        cwd=tree, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "None"


def waiting_processes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "tasks.running.warm" in p.cmdline()]


def test_the_process_ends_when_the_chain_does(tree, monkeypatch):
    before = waiting_processes()
    monkeypatch.delenv(ADDRESS)
    with standby(tree):
        [own] = [process for process in waiting_processes() if process not in before]
    assert not own.is_running() and ADDRESS not in os.environ


def test_one_that_waits_already_serves_the_chain_and_outlives_it(tree):
    before = waiting_processes(), os.environ[ADDRESS]
    with standby(tree):
        assert (waiting_processes(), os.environ[ADDRESS]) == before
        assert ask(tree, "end", "0").wait() == 0
    assert (waiting_processes(), os.environ[ADDRESS]) == before
    assert ask(tree, "end", "0").wait() == 0


def test_a_chain_replaces_one_that_was_killed(tree, monkeypatch, tmp_path):
    left = str(tmp_path / "warm")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(left)
    monkeypatch.setenv(ADDRESS, left)
    with standby(tree):
        assert os.environ[ADDRESS] != left
        assert ask(tree, "end", "0").wait() == 0
