"""Finds and reads picture files, never outside the data folder."""

import contextlib
import os
from functools import cached_property
from pathlib import Path, PurePosixPath

from tasks.reading.checks import Unusable
from tasks.reading.files import PICTURE, MissingFile, read_record_file

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif"}


def is_picture(file: Path) -> bool:
    """Return whether a file's name says that it is a picture."""
    return file.suffix.lower() in SUFFIXES


def read_picture(folder: Path, path: str) -> bytes:
    """Return the bytes of the picture at `path` in `folder`.

    Raises:
        Unusable: There is no such file, or it may not be opened (`tasks.reading.files`).
    """
    return read_record_file(folder, path, "picture", PICTURE)


class PictureFolder:
    """The pictures anywhere below a data folder, by name.

    The last one read is kept, as the questions about one picture share its bytes.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._last: tuple[tuple[str, ...], bytes] = ((), b"")

    def read(self, path: str, *likely: str) -> bytes:
        """Return the bytes of the picture at `path`, which may begin at any folder below ours.

        Args:
            likely: Folders to look in first; they decide between pictures of the same name.

        Raises:
            Unusable: No file or several files are meant, or the file is not in our folder.
        """
        asked = (path, *likely)
        if self._last[0] != asked:
            self._last = asked, self._find(path, likely)
        return self._last[1]

    def _find(self, path: str, likely: tuple[str, ...]) -> bytes:
        with contextlib.suppress(MissingFile):
            return read_picture(self.folder, path)
        for place in (f"{folder}/{path}" for folder in likely):
            if os.path.exists(self.folder / place):  # unlike Path.exists, false for over-long ones
                return read_picture(self.folder, place)
        parts = PurePosixPath(path).parts
        same_name = self._by_name.get(parts[-1], []) if parts else []
        found = [file for file in same_name if file.parts[-len(parts) :] == parts]
        if len(found) > 1:
            raise Unusable("several picture files have this name")
        if not found:
            raise Unusable("picture file is missing")
        return read_picture(self.folder, str(found[0]))

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        files: dict[str, list[Path]] = {}
        for root, _, names in os.walk(self.folder):
            for name in names:
                files.setdefault(name, []).append(Path(root, name).relative_to(self.folder))
        return files
