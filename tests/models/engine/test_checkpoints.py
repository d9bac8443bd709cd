"""After a kill between any two calls a checkpoint can be read, and only our own are unpickled."""

import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.engine.checkpoints import (
    KEY,
    SEAL,
    WholeCheckpoints,
    content_digests,
    fault,
    newest_checkpoint,
    seal,
)
from models.engine.whole import before, discard, partial, swap, write_whole

CALLS = ("open", "chmod", "fsync", "link", "unlink", "rename", "rmdir", "mkdir")


def save_file(target: Path, step: int) -> None:
    WholeCheckpoints().save_checkpoint({"step": step, "weights": torch.ones(9)}, target)


def save_folder(target: Path, step: int) -> None:
    """What SealedDeepSpeed does, without DeepSpeed."""
    written = partial(target)
    discard(written)
    (written / "checkpoint").mkdir(parents=True)
    torch.save({"step": step}, written / "checkpoint" / "weights.pt")
    (written / "latest").write_text("checkpoint")
    seal(written, content_digests(written))
    swap(target, keep=True)


def step_in(checkpoint: Path) -> int:
    file = checkpoint / "checkpoint" / "weights.pt" if checkpoint.is_dir() else checkpoint
    return torch.load(file, weights_only=True)["step"]


def killed_at_call(number: int, act: Callable[[], None]) -> bool:
    """Do something in a fork that is killed before its n-th call; False if it made fewer."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    made = 0

    def count(original: Callable) -> Callable:
        def counted(*args, **options):
            nonlocal made
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return original(*args, **options)

        return counted

    try:
        for name in CALLS:
            setattr(os, name, count(getattr(os, name)))
        act()
    finally:
        os._exit(0)


@pytest.mark.parametrize("save", [save_file, save_folder])
def test_a_kill_between_any_two_calls_leaves_a_checkpoint(save, tmp_path):
    found = set()
    for number in range(1000):
        target = tmp_path / str(number) / "scratch" / "last.ckpt"
        for step in (1, 2):
            save(target, step)
        killed = killed_at_call(number, lambda target=target: save(target, 3))
        newest = newest_checkpoint(target)
        found.add((newest.name, step_in(newest)))
        save(target, 4)  # what the kill left is in nobody's way
        assert step_in(target) == 4 and step_in(before(target)) in (2, 3)
        assert not partial(target).exists() and not partial(before(target)).exists()
        if not killed:
            break
    assert number > 5
    assert found == {("last.ckpt", 2), ("last-before.ckpt", 2), ("last.ckpt", 3)}


def damage(checkpoint: Path) -> None:
    file = checkpoint / "checkpoint" / "weights.pt" if checkpoint.is_dir() else checkpoint
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(checkpoint: Path) -> None:
    file = checkpoint / "checkpoint" / "weights.pt" if checkpoint.is_dir() else checkpoint
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("save", [save_file, save_folder])
@pytest.mark.parametrize("spoil", [damage, cut])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(
    save, spoil, tmp_path, capsys
):
    target = tmp_path / "scratch" / "last.ckpt"
    save(target, 1)
    save(target, 2)
    spoil(target)
    assert step_in(newest_checkpoint(target)) == 1
    assert "set aside as last.ckpt.damaged-1\n" in capsys.readouterr().out
    assert newest_checkpoint(target) == before(target)  # nothing is said twice
    assert capsys.readouterr().out == ""
    spoil(before(target))
    assert newest_checkpoint(target) is None
    assert "starting anew" in capsys.readouterr().out
    assert newest_checkpoint(target) is None
    assert sorted(p.name for p in target.parent.iterdir()) == [
        "last-before.ckpt.damaged-1", "last.ckpt.damaged-1",
    ]  # fmt: skip


def test_a_checkpoint_is_for_its_owner_only(tmp_path):
    save_file(tmp_path / "a" / "last.ckpt", 1)
    save_folder(tmp_path / "b" / "last.ckpt", 1)
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert len(files) == 5 and tmp_path / KEY in files  # a file; weights, name, seal; the key
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}


class Attack:
    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_nothing_in_a_file_is_unpickled(tmp_path):
    file, mark = tmp_path / "last.ckpt", tmp_path / "mark"
    torch.save({"step": Attack(mark)}, file)
    assert "Weights only" in fault(file)
    with pytest.raises(pickle.UnpicklingError):
        WholeCheckpoints().load_checkpoint(file, weights_only=False)
    assert not mark.exists()


def replace(folder: Path) -> None:
    torch.save({"step": Attack(folder / "mark")}, folder / "checkpoint" / "weights.pt")


def reseal_with_another_key(folder: Path) -> None:
    replace(folder)
    key = folder.parent.parent / KEY
    right = key.read_bytes()
    key.write_bytes(bytes(32))
    seal(folder, content_digests(folder))
    key.write_bytes(right)


TRICKS = {
    "was changed": replace,
    "was added": lambda folder: write_whole(folder / "checkpoint" / "more.pt", b""),
    "is missing": lambda folder: (folder / "latest").unlink(),
    "resealed": reseal_with_another_key,
    "no seal": lambda folder: (folder / SEAL).unlink(),
    "torn seal": lambda folder: (folder / SEAL).write_text('{"files": {'),
    "others may write a file": lambda folder: (folder / "latest").chmod(0o620),
    "others may write the folder": lambda folder: (folder / "checkpoint").chmod(0o777),
    "a link": lambda folder: (folder / "more").symlink_to(folder / "latest"),
    "others know the key": lambda folder: (folder.parent.parent / KEY).chmod(0o644),
    "another key": lambda folder: (folder.parent.parent / KEY).unlink(),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_folder_that_is_not_as_we_left_it_is_not_unpickled(trick, tmp_path):
    folder = tmp_path / "scratch" / "last.ckpt"
    save_folder(folder, 1)
    assert fault(folder) == ""
    TRICKS[trick](folder)
    assert fault(folder) != ""
    assert newest_checkpoint(folder) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path):
    folder = tmp_path / "scratch" / "last.ckpt"
    save_folder(folder, 1)
    os.chown(folder / "latest", 1, 1)
    assert "latest is not a file or folder that only this user can write" in fault(folder)


def test_an_error_while_writing_leaves_the_former_checkpoint(tmp_path):
    file = tmp_path / "last.ckpt"
    save_file(file, 1)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        WholeCheckpoints().save_checkpoint({"step": lambda: 0}, file)
    assert step_in(file) == 1 and [f.name for f in tmp_path.iterdir()] == ["last.ckpt"]
