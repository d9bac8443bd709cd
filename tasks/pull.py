"""`python -m tasks.pull [targets]`: `dvc pull` that verifies, and names what is missing or damaged.

Run it with `make pull`. Objects are hashed as they come (`verify` in `.dvc/config`); those that are
already in the cache were hashed when they came.
"""

import subprocess
import sys
from pathlib import Path

from tasks.process import be_quiet

be_quiet()

from dvc.config import NoRemoteError  # noqa: E402  (DVC reads the switches above when imported)
from dvc.exceptions import DvcException  # noqa: E402
from dvc.repo import Repo  # noqa: E402
from dvc_data.hashfile.db import HashFileDB  # noqa: E402
from dvc_data.hashfile.hash import hash_file  # noqa: E402
from dvc_data.hashfile.tree import Tree  # noqa: E402

from tasks.errors import UserError, without_trace  # noqa: E402


def pull(root: Path, targets: list[str]) -> None:
    """Bring data and models of `targets` (all, if empty) into the checkout.

    Raises:
        UserError: The remote is not there, or objects are missing in it or damaged.
    """
    if not subprocess.run([sys.executable, "-m", "dvc", "pull", *targets], cwd=root).returncode:
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


def _lacking(repo: Repo, targets: list[str], remote: HashFileDB) -> list[tuple[str, str, str]]:
    """Return path, object and state of each file that the remote cannot give."""
    stages = [entry.stage for target in targets for entry in repo.stage.collect_granular(target)]
    found = []
    for out in (out for stage in stages or repo.index.stages for out in stage.outs):
        if not out.use_cache or not out.hash_info:
            continue
        files = [(str(out), out.hash_info.value)]
        if out.hash_info.isdir and not _state(remote, out.hash_info.value):
            tree = Tree.load(remote, out.hash_info)
            files = [("/".join((str(out), *key)), content.value) for key, _, content in tree]
        found += [(path, oid, state) for path, oid in files if (state := _state(remote, oid))]
    return found


def _state(remote: HashFileDB, oid: str) -> str:
    """Say what is wrong with an object, if anything."""
    if not remote.exists(oid):
        return "missing"
    _, content = hash_file(remote.oid_to_path(oid), remote.fs, "md5")
    return "" if content.value == oid.removesuffix(".dir") else "damaged"


def main() -> None:
    """Pull the targets on the command line."""
    with without_trace():
        pull(Path.cwd(), sys.argv[1:])


if __name__ == "__main__":
    main()
