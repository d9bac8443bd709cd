"""The same answers from this process, from processes, and from a Dask cluster that loses a worker.

The scheduler and its workers are the real programs, started as `deploy/README.md` starts them.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from distributed import Client

from tasks.asking import local
from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, question
from tasks.asking.turns import open_asker
from tasks.running.errors import UserError
from tasks.running.workers import CLUSTER, Spread, spread_over
from tasks.world.shards import make_sample
from tests.flows.servers import free_port, wait_until

ROOT = Path(__file__).resolve().parents[3]
HOW = {"max_new_tokens": 6, "samples": 2, "temperature": 1.0, "seed": 3}


@pytest.fixture(scope="module")
def questions() -> list:
    samples = [make_sample(0, "test", "caption", number) for number in range(8)]
    return [question(sample.prompt, sample.images) for sample in samples]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(local, "TOKENS_PER_BATCH_OF_SEVERAL", 200)  # two questions or so each


@pytest.fixture(scope="module")
def two() -> Iterator[Spread]:
    """Two processes that the tests share."""
    with spread_over(2) as spread:
        yield spread


@pytest.fixture
def alone(model_folder, questions, tmp_path) -> Asker:
    torch.set_num_threads(1)
    asker = open_asker(model_folder, tmp_path / "alone")
    asker.ask(questions, **HOW)
    return asker


def held(asker: Asker) -> list[tuple]:
    with sqlite3.connect(asker.memory.file) as database:
        rows = database.execute("SELECT key, number, answer FROM answers").fetchall()
    return [(key, n, Answer(**json.loads(answer))) for key, n, answer in rows]


def test_processes_answer_as_this_one_does_and_their_answers_are_remembered(
    model_folder, questions, tmp_path, alone, two
):
    asker = open_asker(model_folder, tmp_path / "spread", spread=two)
    assert asker.ask(questions, **HOW) == alone.ask(questions, **HOW)
    assert asker.tokens == alone.tokens > 0
    assert sorted(held(asker)) == sorted(held(alone))


def test_what_is_wrong_in_a_process_arrives_as_it_was_said(two):
    with pytest.raises(UserError, match="^A.\nWhy: B.\nWhat to do: C."):
        list(two(complain, [("A", "B", "C")]))


def complain(*parts: str) -> None:
    raise UserError(*parts)


def where(number: int) -> tuple[int, int]:
    time.sleep(0.2)
    return number, os.getpid()


def test_results_keep_their_order_and_come_from_every_process(two):
    seen: set[int] = set()

    def both() -> bool:  # the second process may still be starting
        found = list(two(where, [(number,) for number in range(12)]))
        assert [number for number, _ in found] == list(range(12))
        seen.update(process for _, process in found)
        return len(seen - {os.getpid()}) == 2

    wait_until(both, 60)


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a Dask scheduler with two workers."""
    address = f"tcp://127.0.0.1:{free_port()}"
    programs = [start("scheduler", "--host", address, "--no-dashboard")]
    try:
        for _ in range(2):
            programs.append(
                start("worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
            )
        with Client(address, timeout="60s", set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address
    finally:
        for program in programs:
            program.kill()
            program.wait()


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *command], env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_cluster_that_loses_a_worker_still_answers_as_this_process_does(
    model_folder, questions, tmp_path, alone, cluster, monkeypatch
):
    monkeypatch.setenv(CLUSTER, cluster)
    with spread_over(1) as spread:
        survivors = list(spread(lose_a_worker, [(n, str(tmp_path / "lost")) for n in range(6)]))
        assert [number for number, _ in survivors] == list(range(6))
        assert int((tmp_path / "lost").read_text()) not in {process for _, process in survivors[3:]}
        asker = open_asker(model_folder, tmp_path / "cluster", spread=spread)
        assert asker.ask(questions, **HOW) == alone.ask(questions, **HOW)


def lose_a_worker(number: int, lost: str) -> tuple[int, int]:
    """The worker that does the fourth job dies of it, once."""
    if number == 3 and not Path(lost).exists():
        Path(lost).write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()


def test_a_process_that_is_killed_is_explained(tmp_path):
    with pytest.raises(UserError, match="was killed"), spread_over(2) as spread:
        list(spread(lose_a_worker, [(3, str(tmp_path / "lost"))]))


def test_a_cluster_that_is_not_there_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setenv(CLUSTER, f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match="cannot be reached"), spread_over(2):
        pass
