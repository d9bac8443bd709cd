"""Data comes back from a remote with its bytes; what the remote cannot give is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.running.errors import UserError
from tasks.running.pull import pull


def dvc(root: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *words, "-q"], cwd=root, check=True)


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "checkout"
    (root / "data").mkdir(parents=True)
    for name in ("a.txt", "b.txt"):
        (root / "data" / name).write_text(name)
    (root / "one.bin").write_bytes(os.urandom(64))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    dvc(root, "init")
    dvc(root, "add", "data", "one.bin")
    for name in ("first", "second"):
        dvc(root, "remote", "add", name, str(tmp_path / name))
        dvc(root, "config", f"remote.{name}.verify", "true")
    dvc(root, "push", "-r", "first")
    dvc(root, "config", "core.remote", "first")
    return root


def lose(root: Path) -> None:
    """Make the checkout a fresh clone: pointers, and no data."""
    for name in ("data", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(root / name)
    (root / "one.bin").unlink()


def the_object_of(remote: Path, content: bytes) -> Path:
    [found] = [p for p in remote.rglob("*") if p.is_file() and p.read_bytes() == content]
    return found


def test_a_push_to_another_remote_and_a_pull_from_there_round_trip(root):
    expected = (root / "one.bin").read_bytes()
    lose(root)
    pull(root, [])
    dvc(root, "push", "-r", "second")
    dvc(root, "config", "core.remote", "second")
    shutil.rmtree(root.parent / "first")
    lose(root)
    pull(root, ["data.dvc", "one.bin.dvc"])
    assert (root / "one.bin").read_bytes() == expected
    assert {p.name: p.read_text() for p in (root / "data").iterdir()} == {
        "a.txt": "a.txt", "b.txt": "b.txt",
    }  # fmt: skip


def test_missing_and_damaged_objects_are_named_all_at_once(root):
    damaged = the_object_of(root.parent / "first", b"a.txt")
    missing = the_object_of(root.parent / "first", (root / "one.bin").read_bytes())
    damaged.chmod(0o644)
    damaged.write_text("other")
    missing.unlink()
    lose(root)
    with pytest.raises(UserError) as error:
        pull(root, [])
    said = str(error.value)
    assert "2 files could not be pulled" in said and "dvc push" in said
    assert f"data/a.txt: object {damaged.parent.name}{damaged.name} is damaged" in said
    assert f"one.bin: object {missing.parent.name}{missing.name} is missing" in said
    assert not (root / "data" / "a.txt").exists()
    assert damaged.read_text() == "other"  # looking at a remote changes nothing there


def test_a_missing_listing_is_named_as_its_folder(root):
    [listing] = (root.parent / "first").rglob("*.dir")
    listing.unlink()
    lose(root)
    with pytest.raises(UserError, match=r"data: object \w+\.dir is missing"):
        pull(root, ["data.dvc"])


def test_a_remote_that_is_not_there_is_told(root):
    shutil.rmtree(root.parent / "first")
    lose(root)
    with pytest.raises(UserError, match="The DVC remote cannot be read"):
        pull(root, [])


def test_an_unknown_target_is_told_in_the_words_of_dvc(root, capfd):
    with pytest.raises(UserError, match="it says so above"):
        pull(root, ["nothing"])
    assert "'nothing' does not exist as an output" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["data/b.txt", "one.bin"])
def test_what_was_damaged_in_the_cache_is_pulled_again(root, name, capfd):
    content = (root / name).read_bytes()
    damaged = the_object_of(root / ".dvc" / "cache", content)
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(len(content)))  # of the same size, and as protected as before
    damaged.chmod(0o444)
    shutil.rmtree(root / "data")
    (root / "one.bin").unlink()
    pull(root, ["data.dvc", "one.bin.dvc"])
    assert (root / name).read_bytes() == content
    assert f"{name} was damaged in DVC's cache; pulled again" in capfd.readouterr().out
