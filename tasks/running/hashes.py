"""The hash that DVC gives to a folder or a file, before DVC writes it down."""

import tempfile
from pathlib import Path


def content_hash(path: Path, root: Path) -> str:
    """Return DVC's own hash of what a setting names, like "6cd8c995aaa613f14af23886232c133a.dir".

    Files that DVC has hashed already are not read again, where the checkout is DVC's.
    """
    # what only some stages need; it takes a second
    from dvc.fs import localfs
    from dvc.repo import Repo
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB

    def built(cache, ignore) -> str:
        _, _, found = build(
            cache, str(path.absolute()), localfs, "md5", dry_run=True, ignore=ignore
        )
        return found.hash_info.value

    if (root / ".dvc").is_dir():
        with Repo(str(root)) as repo:
            return built(repo.cache.local, repo.dvcignore)
    with tempfile.TemporaryDirectory() as folder:
        return built(LocalHashFileDB(localfs, folder), None)
