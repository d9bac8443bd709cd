"""Protects us from what comes back: files that are none, pictures that are bombs, objects."""

import base64
import os
import time

import pytest

from tasks.records.images import BadPicture, check_from_tool
from tasks.tools.folders import read_output
from tasks.tools.outcome import LONGEST, run_behind
from tasks.tools.python import DEFAULT
from tasks.tools.walls import BUBBLEWRAP
from tests.tasks.tools.bad_output import BAD, KINDS, as_format, put

# ---- something else in its output's place ----


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_small_file_of_its_own_is_refused_at_once(kind, tmp_path):
    put(kind, tmp_path)
    began = time.monotonic()
    with pytest.raises(ValueError, match="its output"):
        read_output(tmp_path / "output", 16_000_000)
    assert time.monotonic() - began < 1


def test_what_was_written_is_read(tmp_path):
    (tmp_path / "output").write_bytes(b"some")
    assert read_output(tmp_path / "output", 4) == b"some"


# ---- pictures that are bombs, programs or objects ----


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_small_png_or_jpeg_is_refused_before_it_costs_anything(name):
    began = time.process_time()
    with pytest.raises(BadPicture):
        check_from_tool(BAD[name])
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_an_ordinary_picture_is_taken(name):
    check_from_tool(as_format(name))


@pytest.mark.parametrize("name", [name for name in BAD if len(BAD[name]) < 200_000])
def test_a_program_that_writes_it_is_refused(name, wall, picture):
    data = base64.b64encode(BAD[name]).decode()
    code = f"import base64; open('output.png', 'wb').write(base64.b64decode('{data}'))"
    outcome = run_behind(wall, code, picture, DEFAULT)
    assert (outcome.status, outcome.picture) == ("refused", None)
    assert "[" in outcome.text and not os.path.exists("/tmp/unpickled")


# ---- programs that are none ----

NONE = {
    "empty": "",
    "only a comment": "# crop it\n",
    "prose": "I would crop the picture.",
    "a megabyte": "x = 1\n" * 170_000,
    "not UTF-8": b"x = '\xff\xfe'",
    "nothing but zeros": b"\0" * 1000,
    "half a character": "x = '\ud800'",
    "many brackets": "(" * 100_000,
    "many minus signs": "-" * 400_000 + "1",
    "a long sum": "x = " + "+".join("1" * 100_000),
    "deep calls": "f(" * 90 + "f" * 10 + ")" * 90 + "\n" + "if 1:\n" + " if 1:\n",
    "many blocks": "".join(" " * i + "if x:\n" for i in range(150)),
    "lambdas": "lambda: " * 50_000 + "1",
    "attributes": "x" + ".x" * 200_000,
    "another encoding": b"# coding: utf-7\nx = 1 +",
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_program_has_a_reason_and_was_not_run(name, wall, picture):
    outcome = run_behind(wall, NONE[name], picture, DEFAULT)
    assert (outcome.status, outcome.picture) == ("invalid", None)
    assert len(outcome.text) > 10


def test_a_longer_program_than_the_longest_is_not_started(picture):
    assert "is not run" in run_behind(BUBBLEWRAP, "#" * (LONGEST + 1), picture, DEFAULT).text


def test_what_a_program_says_is_cut_in_the_middle(wall, picture):
    outcome = run_behind(wall, "print('a' * 50_000 + 'z'); print(1 / 0)", picture, DEFAULT)
    assert outcome.text.startswith("a" * 10_000) and "bytes left out]" in outcome.text
    assert "ZeroDivisionError" in outcome.text and len(outcome.text) <= 20_000
