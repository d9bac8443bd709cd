"""What was understood of a data set is shown before anything is trained, in a shell and browser."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests.flows.conftest import run
from tests.tasks.reading.folders import GOOD, PLAIN, PNG, jsonl

SHOWN = 10

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    return make_checkout({"shots": {"per_class": 1, "dev": 2, "test": 2}})


def contents(root: Path) -> dict[str, int]:
    files = [f for f in root.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    return {str(file): file.stat().st_mtime_ns for file in files}


@pytest.mark.parametrize(
    ("flow", "setting"),
    [
        ("flows.align", "--data"),
        pytest.param("flows.reinforce", "--shots.data", marks=pytest.mark.night),
        pytest.param("flows.judge", "--judgements.data", marks=pytest.mark.night),
        ("flows.ground", "--lessons.data"),
    ],
)
def test_a_preview_prints_samples_and_starts_and_changes_nothing(checkout, flow, setting, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "red.png").write_bytes(PNG)
    jsonl(tmp_path, GOOD, PLAIN, "{")
    before = contents(checkout)
    said = run(checkout, flow, setting, str(tmp_path), "--preview", "--seed", "3")
    assert said.returncode == 0, said.stderr
    assert "layout: JSONL" in said.stdout and "question: Where is the circle?" in said.stdout
    assert "1x line is not JSON" in said.stdout
    assert contents(checkout) == before


def test_a_preview_of_nothing_names_the_setting(checkout):
    missing = run(checkout, "flows.reinforce", "--shots.data", "nowhere", "--preview")
    assert missing.returncode == 1 and "the setting `shots.data` names" in missing.stderr


def test_a_browser_has_the_samples_when_a_training_cannot_even_start(checkout):
    said = run(checkout, "flows.reinforce", "--reinforced.prompts", "999")
    assert said.returncode != 0 and "and a step asks 999" in said.stdout + said.stderr
    database = sqlite3.connect(checkout / ".runtime" / "prefect" / "prefect.db")
    with contextlib.closing(database):
        found = database.execute("SELECT data FROM artifact WHERE key = 'samples'").fetchall()
    [shown] = [data for (data,) in found]
    rows = shown.split("\\n")  # it is kept as JSON
    assert "| id | split | task |" in rows[0] and len(rows) == 2 + SHOWN
