"""A preview shows samples as they were understood, and nothing of a data set runs in a terminal."""

import subprocess
import sys

import pytest

from tasks.reading.preview import look, preview
from tasks.running.errors import UserError
from tests.tasks.reading.coco_folders import CATS, coco
from tests.tasks.reading.folders import GOOD, PLAIN, jsonl


def test_samples_are_shown_as_they_were_understood(folder):
    row = preview(jsonl(folder, GOOD))[0]
    assert row == {
        "id": "good", "split": "train", "task": "ground", "metric": "detections",
        "question": "Where is the circle?", "answer": "here", "label": "circle",
        "boxes": [[1, 2, 3, 4]], "pictures": 1, "size": "20 x 10",
    }  # fmt: skip


def test_something_of_every_kind_is_shown_and_the_reasons_of_the_rest(folder):
    many = [PLAIN | {"task": task, "split": "test"} for task in ("a",) * 90 + ("b",)]
    found = look(jsonl(folder, *many, "{", "{"), 4)
    assert [row["task"] for row in found.rows] == ["a", "a", "a", "b"]
    assert found.layout == "JSONL" and not found.note
    assert "2x line is not JSON" in found.text()


def test_the_layout_and_what_is_drawn_are_told(folder):
    assert look(coco(folder / "set", [CATS])).layout == "COCO"
    assert "dev and test pictures are drawn" in look(jsonl(folder, PLAIN)).text()


def test_what_cannot_be_used_is_a_message(folder):
    with pytest.raises(UserError, match="None of the first records") as caught:
        preview(jsonl(folder, "{"))
    assert "1x line is not JSON" in caught.value.why


def test_a_terminal_shows_it_and_obeys_nothing_in_it(folder):
    jsonl(folder, PLAIN | {"prompt": "\x1b[31mred", "image": "pictures/red.png"})
    command = [sys.executable, "-m", "tasks.reading.preview", str(folder), "3"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "question: \\x1b[31mred" in said and "size: 20 x 10" in said and "\x1b" not in said


def test_in_a_browser_it_is_a_table_in_which_all_is_text(folder):
    odd = PLAIN | {"prompt": "a|b <script>alert(1)</script>\n| [x](javascript:1)"}
    lines = look(jsonl(folder, odd, "{"), 1).markdown().split("\n")
    assert len(lines) == 3 + 4
    cells = [line.replace(r"\|", "").count("|") for line in lines]
    assert cells == [11, 11, 11, 0, 3, 3, 3]
    assert r"a\|b &lt;script&gt;alert\(1\)" in lines[2] and r"\[x\]\(javascript:1\)" in lines[2]
    assert "line is not JSON" in lines[-1]
