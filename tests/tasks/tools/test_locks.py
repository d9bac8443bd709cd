"""Protects the locks themselves, as the kernel tells of them, and what happens without a wall."""

import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from tasks.running.errors import UserError
from tasks.tools import folders, probing, syscalls, walls
from tasks.tools.interpreter import interpreter
from tasks.tools.outcome import run_behind
from tasks.tools.python import DEFAULT, run
from tests.tasks.tools.alone import landlock_alone
from tests.tasks.tools.inspection import open_locks, outlives_its_parent, sleeping


def test_the_kernel_says_that_every_lock_is_shut(wall, world):
    with sleeping(wall) as process:
        assert open_locks(process, wall) == []


def test_a_wall_holds_before_it_is_used(wall):
    probing.check(wall)


def test_a_wall_with_a_hole_is_refused(wall, monkeypatch):
    monkeypatch.setattr(syscalls, "ALLOWED", (*syscalls.ALLOWED, "socket"))
    syscalls.filters.cache_clear()
    try:
        with pytest.raises(UserError, match="does not hold"):
            probing.check(wall)
    finally:
        syscalls.filters.cache_clear()


# ---- nothing is run where no wall stands ----


@pytest.fixture
def untried():
    """Walls are tried once in a process: forget it, before and after."""
    probing.standing_wall.cache_clear()
    syscalls.filters.cache_clear()
    yield
    probing.standing_wall.cache_clear()
    syscalls.filters.cache_clear()


def refusing(folder: Path, says: str) -> str:
    """Return a PATH whose bubblewrap says this and ends, as where namespaces are refused."""
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(folder)


APPARMOR = "bwrap: setting up uid map: Permission denied"


def test_without_bubblewrap_the_other_wall_stands(untried, monkeypatch, tmp_path, picture):
    interpreter()  # finds its libraries by `ldd`, before PATH is taken away
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("print(1)", picture).wall == "landlock"


def test_where_namespaces_are_refused_the_other_wall_stands(
    untried, monkeypatch, tmp_path, picture
):
    monkeypatch.setenv("PATH", refusing(tmp_path, APPARMOR) + ":" + os.environ["PATH"])
    assert run("print(1)", picture).wall == "landlock"


def test_without_any_wall_nothing_is_run_and_all_reasons_are_told(
    untried, monkeypatch, tmp_path, picture
):
    monkeypatch.setenv("PATH", refusing(tmp_path, APPARMOR) + ":" + os.environ["PATH"])
    monkeypatch.setattr(walls, "landlock_version", lambda: -1)
    with pytest.raises(UserError, match="Permission denied.*Landlock is missing") as refused:
        run("open('output.png', 'w').write('x')", picture)
    for named in ("bubblewrap", "apparmor_restrict_unprivileged_userns", "libseccomp2"):
        assert named in str(refused.value)


def test_without_seccomp_nothing_is_run(untried, monkeypatch, picture):
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(UserError, match="pyseccomp"):
        run("print(1)", picture)


def test_landlock_keeps_files_network_and_signals_by_itself(world, picture):
    if walls.landlock_version() < 6:
        pytest.skip("this kernel's Landlock does not know signals")
    assert landlock_alone(world, picture) == ""


def test_a_beginning_that_fails_runs_nothing(monkeypatch, wall, picture, tmp_path):
    monkeypatch.setitem(walls.ENVIRONMENT, "PYTHONHASHSEED", "no number")
    with pytest.raises(UserError, match="no program was run"):
        run_behind(wall, "print('was run')", picture, DEFAULT)


# ---- nothing outlives its parent ----


def test_a_killed_parent_leaves_no_process_and_the_next_start_no_folder(
    wall, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert not outlives_its_parent(wall)
    assert len(list(tmp_path.glob(f"{folders.NAME}*"))) == 1
    folders.clear_away()
    assert list(tmp_path.iterdir()) == []
