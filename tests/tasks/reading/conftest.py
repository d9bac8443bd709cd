"""A data folder for every test of the readers."""

from pathlib import Path

import pytest

from tests.tasks.reading.folders import PNG


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data folder with one picture and no records yet."""
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    (tmp_path / "data" / "pictures" / "red.png").write_bytes(PNG)
    return tmp_path / "data"
