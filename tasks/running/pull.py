"""`dvc pull` that verifies, and names what is missing or damaged.

`python -m tasks.running.pull [targets]`, or `make pull`. Objects are hashed as they come (`verify`
in `.dvc/config`). DVC trusts those that are in its cache already; a disk or a program may have
damaged them since, so they are hashed here, and what is damaged is pulled again.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.running.process import be_quiet

be_quiet()

from dvc.config import NoRemoteError  # noqa: E402  (DVC reads the switches above when imported)
from dvc.exceptions import DvcException  # noqa: E402
from dvc.repo import Repo  # noqa: E402
from dvc_data.hashfile.db import HashFileDB  # noqa: E402
from dvc_data.hashfile.hash import hash_file  # noqa: E402
from dvc_data.hashfile.tree import Tree  # noqa: E402

from models.engine.whole import discard  # noqa: E402
from tasks.running.errors import UserError, without_trace  # noqa: E402


def pull(root: Path, targets: list[str]) -> None:
    """Bring data and models of `targets` (all, if empty) into the checkout.

    Raises:
        UserError: The remote is not there, or objects are missing in it or damaged.
    """

    def pulled() -> bool:
        command = [sys.executable, "-m", "dvc", "pull", *targets]
        return not subprocess.run(command, cwd=root).returncode

    if pulled():
        found = forget_damaged(root, targets)
        for name in found:
            print(f"{name} was damaged in DVC's cache; pulled again", flush=True)
        if not found or pulled():
            return
    with Repo(str(root)) as repo:
        try:
            remote = repo.cloud.get_remote_odb()
            where = remote.fs.unstrip_protocol(remote.path)
            reachable = remote.fs.exists(remote.path)
        except (NoRemoteError, DvcException, OSError) as error:
            where, reachable, told = "the remote", False, str(error)
        else:
            told = f"{where} is not there"
        if not reachable:
            raise UserError(
                "The DVC remote cannot be read",
                told,
                "check `dvc remote list` and its credentials, then start again",
            )
        try:
            lacking = _lacking(repo, targets, remote)
        except DvcException:  # a target that is none
            lacking = []
    if not lacking:
        raise UserError("dvc pull failed", "it says so above", "put that right and start again")
    raise UserError(
        f"{len(lacking)} files could not be pulled from {where}",
        "\n".join(f"{path}: object {oid} is {state}" for path, oid, state in lacking),
        "`dvc push` them from a checkout that has them, or restore these objects (for the embedded "
        "data: `git checkout store`), and start again",
    )


def forget_damaged(root: Path, targets: list[str]) -> list[str]:
    """Take damaged objects out of DVC's cache, and out of the checkout what was restored from them.

    Args:
        targets: Stages or `.dvc` files; all, if empty.

    Returns:
        The path of each file whose content is not what its hash says.
    """
    found = []
    with Repo(str(root)) as repo:
        cache = repo.cache.local
        for out, path, oid in _objects(repo, targets, cache):
            if _state(cache, oid) == "damaged":
                cache.fs.remove(cache.oid_to_path(oid))
                # DVC would take what it has restored for good, as nobody has written there since
                discard(Path(out.fs_path))
                found.append(path)
    return found


def _objects(repo: Repo, targets: list[str], odb: HashFileDB) -> Iterator[tuple[Any, str, str]]:
    """Yield output, path and object of all outputs, and of the files in those that are folders."""
    here = [str(file) if (file := Path(repo.root_dir, t)).exists() else t for t in targets]
    stages = [entry.stage for target in here for entry in repo.stage.collect_granular(target)]
    for out in (out for stage in stages or repo.index.stages for out in stage.outs):
        if not out.use_cache or not out.hash_info:
            continue
        yield out, str(out), out.hash_info.value
        if out.hash_info.isdir and not _state(odb, out.hash_info.value):
            for key, _, content in Tree.load(odb, out.hash_info):
                yield out, "/".join((str(out), *key)), content.value


def _lacking(repo: Repo, targets: list[str], remote: HashFileDB) -> list[tuple[str, str, str]]:
    """Return path, object and state of each file that the remote cannot give."""
    found = [(path, oid, _state(remote, oid)) for _, path, oid in _objects(repo, targets, remote)]
    return [(path, oid, state) for path, oid, state in found if state]


def _state(remote: HashFileDB, oid: str) -> str:
    """Say what is wrong with an object, if anything."""
    if not remote.exists(oid):
        return "missing"
    _, content = hash_file(remote.oid_to_path(oid), remote.fs, "md5")
    return "" if content.value == oid.removesuffix(".dir") else "damaged"


def main() -> None:
    """Pull the targets on the command line; `--check` only looks after what is in the cache."""
    with without_trace():
        if sys.argv[1:2] == ["--check"]:
            print("\n".join(forget_damaged(Path.cwd(), sys.argv[2:])))
        else:
            pull(Path.cwd(), sys.argv[1:])


if __name__ == "__main__":
    main()
