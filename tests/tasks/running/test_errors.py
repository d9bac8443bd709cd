"""A user's error says what happened, why, and what to do."""

import errno
import os
import resource
import socket
import sqlite3

import httpx
import jinja2
import pyarrow.parquet as pq
import pytest
import requests
import safetensors.torch
import torch
import yaml
from mlflow.exceptions import MlflowException

import mlflow
from tasks.running.errors import UserError, actionable, without_trace
from tasks.running.obstacles import OBSTACLES


def test_an_error_has_three_beats_in_their_order():
    error = UserError("The cup is empty", "somebody drank it", "make tea")
    assert str(error).splitlines() == [
        "The cup is empty.",
        "Why: somebody drank it.",
        "What to do: make tea.",
    ]
    assert (error.what, error.why, error.todo) == (
        "The cup is empty",
        "somebody drank it",
        "make tea",
    )


def wrapped(cause: Exception) -> Exception:
    """Return a library's error about another."""
    try:
        raise RuntimeError("saving failed") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (wrapped(OSError(errno.ENOSPC, "No space left on device")), "The disk is full"),
        (wrapped(sqlite3.OperationalError("database or disk is full")), "The disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "A file or folder may not be used"),
        (UserError("The cup is empty", "somebody drank it", "make tea"), "The cup is empty"),
    ],
)
def test_what_a_user_can_act_on_ends_the_program_without_a_trace(error, what):
    with pytest.raises(SystemExit, match=what), without_trace():
        raise error


def test_a_mistake_of_ours_keeps_its_trace():
    mistake = wrapped(KeyError("steps"))
    assert actionable(mistake) is None
    with pytest.raises(RuntimeError) as kept, without_trace():
        raise mistake
    assert kept.value is mistake


def nobody_there() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def too_many_files(folder):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 2, limits[1]))
    held = []
    try:
        while True:
            held.append(open("/dev/null"))  # noqa: SIM115
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for file in held:
            file.close()


def locked_database(folder):
    first, second = (sqlite3.connect(folder / "x.db", timeout=0) for _ in range(2))
    first.execute("BEGIN EXCLUSIVE")
    second.execute("CREATE TABLE t (x)")


def damaged_database(folder):
    (folder / "mlflow.db").write_bytes(b"no database" * 100)
    mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()


def foreign_database(folder):
    mlflow.MlflowClient(f"sqlite:///{folder / 'old.db'}").search_experiments()
    with sqlite3.connect(folder / "old.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    other = f"sqlite:///{folder}/../{folder.name}/old.db"  # stores are kept by their address
    mlflow.MlflowClient(other).search_experiments()


def dead_server(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        mlflow.MlflowClient(nobody_there()).search_experiments()


def damaged(name: str, read):
    def cause(folder):
        (folder / name).write_bytes(b"PAR1 cut")
        read(folder / name)

    return cause


def full_disk(folder):
    with open("/dev/full", "w") as file:
        file.write("x")


def cause(error: Exception):
    def raised(folder):
        raise error

    return raised


# What really happens, per row of the table; those that need a broken disk or a GPU are said.
HAPPENS = {
    "The disk is full": [full_disk],
    "A file or folder may not be used as it has to be": [
        cause(OSError(errno.EROFS, "Read-only file system")),
    ],
    "The disk cannot be read or written": [cause(OSError(errno.EIO, "Input/output error"))],
    "Too many files are open": [too_many_files],
    "Memory has run out": [
        lambda _: torch.empty(10**15),
        lambda _: bytearray(10**17),
        cause(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
    ],
    "A database was locked by another program for too long": [locked_database],
    "A database is damaged": [damaged_database],
    "MLflow's database was written by another version": [foreign_database],
    "A server refuses to answer without a password, or with this one": [
        cause(MlflowException("API request to x failed with error code 401 != 200")),
    ],
    "A server cannot be reached": [
        dead_server,
        lambda _: requests.get(nobody_there()),
        lambda _: httpx.get(nobody_there(), trust_env=False),
    ],
    "A file of weights is damaged or cut": [
        damaged("model.safetensors", safetensors.torch.load_file)
    ],
    "A chat template cannot be used": [lambda _: jinja2.Template("{% for %}")],
    "A Parquet or Arrow file is damaged": [damaged("part-00000.parquet", pq.read_table)],
    "A YAML file cannot be read": [lambda _: yaml.safe_load("a: [1")],
}


def test_every_row_of_the_table_is_tried():
    assert {row.what for row in OBSTACLES} == set(HAPPENS)


@pytest.mark.parametrize(
    ("what", "cause"), [(what, cause) for what, causes in HAPPENS.items() for cause in causes]
)
def test_what_libraries_raise_is_told_in_three_beats(what, cause, tmp_path):
    with pytest.raises(SystemExit) as told, without_trace():
        cause(tmp_path)
    lines = str(told.value).strip().splitlines()
    assert lines[0] == f"{what}."
    assert [line.split(":")[0] for line in lines[1:]] == ["Why", "What to do"]


def test_a_terminal_is_not_written_to_by_the_name_of_a_file():
    error = UserError("a\x1b[31mred\x1b]0;title\x07.txt is damaged", "\u202egnp.exe", "mend it")
    assert str(error).isascii() and "\x1b" not in str(error) and "\\x1b[31m" in str(error)
