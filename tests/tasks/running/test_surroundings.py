"""Variables of proxies, schedulers and other tools do not lead a checkout astray."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tasks.running.errors import UserError
from tasks.running.private import runtime
from tasks.running.surroundings import SCHEDULERS, alone, ignore_foreign

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks://127.0.0.1:9", "nonsense://x"])
def test_this_machine_is_never_asked_through_a_proxy(monkeypatch, name, proxy):
    for other in [key for key in os.environ if key.lower().endswith("_proxy")]:
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("NO_PROXY", "example.org")
    ignore_foreign()
    assert os.environ["NO_PROXY"] == "example.org,127.0.0.1,localhost,::1"
    assert os.environ["no_proxy"] == "127.0.0.1,localhost,::1"
    with httpx.Client() as client:
        pool = client._transport_for_url(httpx.URL("http://127.0.0.1:4200/api"))._pool
    assert "Proxy" not in type(pool).__name__
    assert (name in os.environ) == proxy.startswith("http:")  # others may be asked through it


def test_what_a_scheduler_says_about_processes_is_forgotten(monkeypatch):
    said = {
        "WORLD_SIZE": "2",
        "RANK": "1",
        "SLURM_NTASKS": "4",
        "SLURM_JOB_ID": "7",
        "MASTER_PORT": "1",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    alone()
    assert [name for name in os.environ if name.startswith(SCHEDULERS)] == []


def test_a_foreign_run_of_mlflow_is_not_ours(monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    ignore_foreign()
    assert "MLFLOW_RUN_ID" not in os.environ


@pytest.mark.parametrize("name", ["a%41b", "what?", "set #2"])
def test_a_place_that_no_address_can_name_is_refused_before_anything_starts(tmp_path, name):
    root = tmp_path / name
    root.mkdir()
    with pytest.raises(UserError, match="The checkout cannot stand in"):
        runtime(root)
    assert list(root.iterdir()) == []


def test_a_place_with_spaces_and_letters_of_any_language_is_fine(tmp_path):
    root = tmp_path / "my déjà vu (2)"
    root.mkdir()
    assert runtime(root).is_dir()


def test_a_stage_ignores_all_of_it(tmp_path):
    foreign = {
        "WORLD_SIZE": "2", "SLURM_NTASKS": "4", "MLFLOW_RUN_ID": "1" * 32,
        "all_proxy": "socks://127.0.0.1:9", "TMPDIR": str(tmp_path / ("x" * 110)),
    }  # fmt: skip
    (tmp_path / ("x" * 110)).mkdir()
    said = subprocess.run(
        [sys.executable, "-m", "tasks.run", "nothing"], cwd=ROOT, env=os.environ | foreign,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "There is no stage 'nothing'" in said.stderr and "Traceback" not in said.stderr
