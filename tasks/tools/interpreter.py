"""What a program may read besides its picture: the interpreter, numpy, Pillow and OpenCV.

No more than that: of the system's libraries those that the interpreter or a package needs, of the
packages installed here those three, of the standard library all but `site-packages`.
"""

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

INSIDE = Path(__file__).with_name("inside.py")
# by the names they are imported and installed under; OpenCV is an extra and may be missing
PACKAGES = {"numpy": "numpy", "PIL": "pillow", "cv2": "opencv-python-headless"}
# native parts of the standard library that open windows or terminals, for the libraries they need
NOT_NEEDED = ("_tkinter", "_curses", "readline", "nis", "_dbm", "_gdbm", "_sqlite3", "_ssl")


@dataclass(frozen=True)
class Interpreter:
    """Paths of this machine.

    Attributes:
        program: The interpreter itself, no link and no virtual environment's.
        library: The folder of the standard library.
        packages: The folders that packages consist of; a wheel's libraries lie beside it.
        libraries: Files that are linked dynamically, the loader among them.
        versions: What results depend on, by name.
    """

    program: Path
    library: Path
    packages: tuple[Path, ...]
    libraries: tuple[Path, ...]
    versions: tuple[tuple[str, str], ...]


@cache
def interpreter() -> Interpreter:
    """Return what stands on this machine; it takes half a second, once in a process."""
    program = Path(os.path.realpath(sys.executable))
    library = Path(os.__file__).parent
    folders, versions = [], [("python", sys.version)]
    for name, distribution in PACKAGES.items():
        if (found := importlib.util.find_spec(name)) and found.submodule_search_locations:
            folder = Path(found.submodule_search_locations[0])
            beside = folder.parent / f"{distribution.replace('-', '_')}.libs"
            folders += [folder, beside] if beside.is_dir() else [folder]
            versions.append((name, metadata.version(distribution)))
    parts = Path(sysconfig.get_config_var("DESTSHARED") or library / "lib-dynload").glob("*.so")
    native = [file for file in parts if not file.name.startswith(NOT_NEEDED)]
    native += [file for folder in folders for file in folder.rglob("*.so*") if file.is_file()]
    libraries = _linked([program, *native])
    inside = tuple(path for path in libraries if not _below(path, (library, *folders)))
    return Interpreter(program, library, tuple(folders), inside, tuple(versions))


def _linked(files: list[Path]) -> list[Path]:
    """Return the libraries that these files need, as the dynamic linker finds them."""
    told = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False)
    # "libz.so.1 => /lib/libz.so.1 (0x00...)", and the loader itself without an arrow
    found = re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", told.stdout, re.MULTILINE)
    return [Path(path) for path in sorted({os.path.normpath(path) for path in found})]


def _below(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
