"""A world that hostile programs are let loose on, and the two walls."""

import pytest
from PIL import Image

from tasks.records.images import to_png
from tasks.tools.walls import BUBBLEWRAP, LANDLOCK
from tests.tasks.tools.attacks import targets


@pytest.fixture(scope="session")
def world():
    with targets() as found:
        yield found


@pytest.fixture(scope="session")
def picture() -> bytes:
    return to_png(Image.radial_gradient("L").resize((64, 48)).convert("RGB"))


@pytest.fixture(params=[BUBBLEWRAP, LANDLOCK], ids=lambda wall: wall.name)
def wall(request):
    return request.param
