"""A training can be killed while it writes; what cannot be read is set aside."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def other_file_system():
    """A folder for temporary files on another file system than the checkpoints'."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize("kills", [8, pytest.param(30, marks=pytest.mark.night)])
def test_kills_while_a_checkpoint_is_written_change_nothing(
    kills, model_folder, tmp_path, other_file_system
):
    result = subprocess.run(
        [sys.executable, "-m", "tests.tasks.training.killed_saves", model_folder, str(tmp_path),
         str(kills)],
        cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(other_file_system)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-5000:]
    done = json.loads((tmp_path / "done.json").read_text())
    print(done)
    assert done["kills"] >= kills
    assert done["torn"] >= kills / 3  # the others fell just after a write
    assert [f for f in other_file_system.rglob("*") if not f.is_dir()] == []
    expected = files_of(tmp_path / "undisturbed" / "out")
    for number in range(done["trainings"]):
        assert files_of(tmp_path / f"killed-{number}" / "out") == expected, number


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}
