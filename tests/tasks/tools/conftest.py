"""A world that hostile programs are let loose on, and the two walls."""

import functools
import shutil
import subprocess

import pytest
from PIL import Image

from tasks.records.images import to_png
from tasks.tools.walls import BUBBLEWRAP, LANDLOCK, landlock_version
from tests.tasks.tools.attacks import targets


@pytest.fixture(scope="session")
def world():
    with targets() as found:
        yield found


@pytest.fixture(scope="session")
def picture() -> bytes:
    return to_png(Image.radial_gradient("L").resize((64, 48)).convert("RGB"))


@functools.cache
def namespaces() -> bool:
    """Return whether anything at all can be started in namespaces of its own."""
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(params=[BUBBLEWRAP, LANDLOCK], ids=lambda wall: wall.name)
def wall(request):
    if request.param is BUBBLEWRAP and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed: make packages")
    if request.param is BUBBLEWRAP and not namespaces():
        pytest.skip("this machine refuses namespaces, in a container most often")
    if request.param is LANDLOCK and landlock_version() < 1:
        pytest.skip("this kernel has no Landlock")
    return request.param
