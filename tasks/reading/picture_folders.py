"""Pictures and nothing else: a folder that somebody wants captions of."""

import os
from collections.abc import Iterator
from pathlib import Path

from tasks.reading.checks import Unusable
from tasks.reading.pictures import is_picture, read_picture
from tasks.records.images import BadPicture, kept

BESIDE = {".md", ".txt", ".html", ""}  # what may lie there besides


def only_pictures(folder: Path) -> bool:
    """Return whether a folder has pictures, in it or below, and nothing that describes them."""
    files = [Path(root, name) for root, _, names in os.walk(folder) for name in names
             if not name.startswith(".")]  # fmt: skip
    there = [file for file in files if is_picture(file)]
    return bool(there) and all(file.suffix.lower() in BESIDE for file in set(files) - set(there))


def pictures_in(folder: Path) -> Iterator[tuple[str, bytes | str]]:
    """Yield every picture by its path, or why it cannot be used."""
    for root, below, names in os.walk(folder):
        below.sort()
        for name in sorted(names):
            path = Path(root, name)
            if name.startswith(".") or not is_picture(path):
                continue
            inside = path.relative_to(folder).as_posix()
            try:
                yield inside, kept(read_picture(folder, inside))[0]
            except Unusable as reason:
                yield inside, str(reason)
            except BadPicture as bad:
                yield inside, bad.reason
