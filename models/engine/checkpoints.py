"""Checkpoints that outlive a kill at any moment, and that nobody else can slip in.

A checkpoint is written beside the one it replaces, and the one before is kept. One file is read
without unpickling: it holds tensors and plain values only. DeepSpeed's folders are unpickled by its
engine, so they carry a seal: only what this user wrote, with a key that only this user can read, is
handed to the engine.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins import TorchCheckpointIO

from models.engine.whole import before, set_aside, sync, write_whole, written_whole

KEY = ".checkpoint-key"  # beside the folders of all trainings
SEAL = "seal.json"
DEEPSPEED_WEIGHTS = "checkpoint/mp_rank_00_model_states.pt"


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's reader and writer of checkpoints, for `L.Trainer(plugins=...)`.

    Lightning's own collects the whole file in memory, writes it to $TMPDIR and moves it from there:
    between two file systems that is a copy over the only checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Stream a checkpoint to the disk; the former one stays as the one before."""
        with written_whole(Path(path), keep=True) as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint without unpickling anything, whatever `weights_only` is."""
        return torch.load(path, map_location=map_location, weights_only=True)


def newest_checkpoint(path: Path) -> Path | None:
    """Return `path` or the one before it: the newest that can be read. None: start anew.

    What cannot be read is set aside, and a line says so. In a training of several processes only
    the first one may ask (see `from_first`).
    """
    damaged = False
    for candidate in (path, before(path)):
        if not candidate.exists():
            continue
        if not (why := fault(candidate)):
            return candidate
        damaged, aside = True, set_aside(candidate)
        print(f"{candidate} cannot be used ({why}): set aside as {aside.name}", flush=True)
    if damaged:
        print("no other checkpoint is left: starting anew", flush=True)
    return None


def fault(path: Path) -> str:
    """Return why a checkpoint cannot be used; empty if it can."""
    if path.is_dir():
        return _broken_seal(path)
    try:
        with zipfile.ZipFile(path) as archive:  # compares every part with its checksum
            if part := archive.testzip():
                return f"the checksum of {part} is wrong"
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)  # reads no tensor yet
    except MemoryError:
        raise
    except Exception as error:  # a torn file can break a reader at any of its lines
        return str(error).split("\n")[0] or type(error).__name__
    return ""


def weights_in(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint that `newest_checkpoint` returned."""
    if path.is_dir():  # has just been found to be sealed by us
        file = path / DEEPSPEED_WEIGHTS
        return torch.load(file, map_location="cpu", weights_only=False)["module"]
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def from_first(find: Callable[[], Any]) -> Any:
    """Return what the first process finds, in every process."""
    if not dist.is_initialized():
        return find()
    box = [find() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(box, src=0)
    return box[0]


# ---- folders that are unpickled: a seal ----------------------------------------------------------


def content_digests(folder: Path, part: int = 0, parts: int = 1) -> dict[str, str]:
    """Return the SHA-256 of files of a folder, on the disk and closed to others by then.

    Args:
        part: Which of `parts` shares of the files; each process of a training takes one.
    """
    found = {}
    for file in _files(folder)[part::parts]:
        os.chmod(file, 0o600)
        sync(file)
        found[str(file.relative_to(folder))] = _digest(file)
    return found


def seal(folder: Path, digests: dict[str, str]) -> None:
    """Write a keyed digest of all the digests into a folder that is to be unpickled later.

    The key is beside the training's own folder: in `.runtime/scratch/`, for a stage.
    """
    for place in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        os.chmod(place, 0o700)
        sync(place)
    content = {"files": digests, "seal": _keyed(digests, _keys(folder))}
    write_whole(folder / SEAL, json.dumps(content, indent=1, sort_keys=True))


def _broken_seal(folder: Path) -> str:
    try:
        for place in (folder, *folder.rglob("*")):
            if not _is_ours(place):
                return f"{place.name} is not a file or folder that only this user can write"
        content = json.loads((folder / SEAL).read_text())
        known, written = dict(content["files"]), str(content["seal"])
        if not hmac.compare_digest(written, _keyed(known, _keys(folder))):
            return "its seal was not made with the key of this folder"
        found = {str(file.relative_to(folder)): _digest(file) for file in _files(folder)}
    except FileNotFoundError:
        return "it has no seal"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its seal cannot be checked: {error}"
    changed = {name for name, _ in found.items() ^ known.items()}
    return f"{min(changed)} was changed after it was sealed" if changed else ""


def _files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if not f.is_dir() and f != folder / SEAL)


def _is_ours(path: Path) -> bool:
    """True for a file or folder (and no link) of this user that others cannot write."""
    found = os.lstat(path)
    plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return plain and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _keys(folder: Path) -> Path:
    return folder.parent.parent


def _digest(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _keyed(digests: dict[str, str], keys: Path) -> str:
    message = json.dumps(digests, sort_keys=True).encode()
    return hmac.new(_key(keys), message, hashlib.sha256).hexdigest()


def _key(folder: Path) -> bytes:
    """Return the 32 random bytes that are made here on first use."""
    file = folder / KEY
    if not file.exists():
        own = folder / f"{KEY}-{os.getpid()}"
        write_whole(own, secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):  # another training was faster
            os.link(own, file)
        own.unlink()
    if not _is_ours(file) or os.stat(file).st_mode & 0o077:
        raise PermissionError(f"{file} is not a file that only this user can read")
    return file.read_bytes()


def all_digests(shares: Iterable[dict[str, str]]) -> dict[str, str]:
    """Join the digests that the processes found."""
    return {name: digest for share in shares for name, digest in share.items()}
