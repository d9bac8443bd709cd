"""What stands in the way of writing is named, and nothing half-written is left."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import run

pytestmark = pytest.mark.chain


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Put a small file system of its own under a folder for some time."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"file systems are mounted by root only: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout({})


@pytest.mark.parametrize("folder", [".runtime/scratch", ".runtime"])
def test_a_full_disk_is_named_and_the_next_start_goes_on(checkout, folder):
    full = checkout / folder
    with mounted(full, "size=32k"):
        assert_refused(checkout, "The disk is full", "free some space")
        subprocess.run(["mount", "-o", "remount,size=64m", str(full)], check=True)
        again = run(checkout, "dvc", "repro", "-s", "intake")
        assert again.returncode == 0, again.stderr
    assert list((checkout / "outputs" / "intake").glob("part-*.parquet"))
    for made in ("intake", "metrics/intake.json"):
        subprocess.run(["rm", "-r", str(checkout / "outputs" / made)], check=True)


def test_outputs_that_cannot_be_written_are_named(checkout):
    with mounted(checkout / "outputs", "ro"):
        assert_refused(checkout, "Read-only file system", "`.runtime/` must be writable")


@pytest.mark.parametrize("program", ["flows.platform.up", "flows.align"])
@pytest.mark.parametrize(
    ("options", "expected"), [("size=2m", "The disk is full"), ("ro", "Read-only file system")]
)
def test_nothing_starts_where_nothing_can_be_kept(checkout, program, options, expected):
    with mounted(checkout / ".runtime", options):
        said = run(checkout, program)
    assert said.returncode != 0
    assert expected in said.stderr and "What to do" in said.stderr
    assert "Traceback" not in said.stderr


def assert_refused(checkout: Path, *expected: str) -> None:
    said = run(checkout, "dvc", "repro", "-s", "-f", "intake")
    told = said.stdout + said.stderr
    assert said.returncode != 0 and "Traceback" not in told
    assert [text for text in expected if text not in told] == [], told
    for made in ("intake", "metrics/intake.json"):
        assert not (checkout / "outputs" / made).exists()
