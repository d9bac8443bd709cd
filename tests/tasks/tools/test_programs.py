"""Protects what programs are for: pictures made of pictures, the same ones again, many at once."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.records.images import open_image, to_png
from tasks.tools import python
from tasks.tools.outcome import run_behind
from tasks.tools.python import DEFAULT, Limits, Programs, key_of, run
from tasks.tools.walls import BUBBLEWRAP, LANDLOCK
from tests.tasks.tools.attacks import BEGINNING, ENDING, SHORT, waited
from tests.tasks.tools.hostile import TABLE

USEFUL = {
    "crop": "from PIL import Image\nImage.open('input.png').crop((1, 2, 9, 8)).save('output.png')",
    "crop by OpenCV": "import cv2\ncv2.imwrite('output.png', cv2.imread('input.png')[2:8, 1:9])",
    "crop by numpy": "import numpy as np\nfrom PIL import Image\n"
    "im = np.asarray(Image.open('input.png'))\nImage.fromarray(im[2:8, 1:9]).save('output.png')",
}


@pytest.mark.parametrize("name", USEFUL)
def test_a_crop_is_the_one_that_pillow_makes_here(name, wall, picture):
    if "OpenCV" in name:
        pytest.importorskip("cv2")
    outcome = run_behind(wall, USEFUL[name], picture, DEFAULT)
    assert (outcome.status, outcome.text, outcome.wall) == ("ok", "", wall.name)
    expected = open_image(picture).crop((1, 2, 9, 8))
    assert open_image(outcome.picture).tobytes() == expected.tobytes()


def test_a_program_that_writes_nothing_has_no_picture(wall, picture):
    assert run_behind(wall, "print('seen')", picture, DEFAULT).picture is None


def test_an_error_is_told_with_the_line_it_stands_in(wall, picture):
    outcome = run_behind(wall, "x = 1\nx.crop(2)\n", picture, DEFAULT)
    assert outcome.status == "failed" and "inside.py" not in outcome.text
    assert 'File "program.py", line 2' in outcome.text and "x.crop(2)" in outcome.text


def test_an_error_before_a_picture_is_whole_gives_no_picture(wall, picture):
    code = "from PIL import Image\nImage.open('input.png').save('output.png')\n1 / 0"
    assert run_behind(wall, code, picture, DEFAULT).picture is None


DRAWN_AT_RANDOM = """
import random, os, secrets, uuid
import numpy as np
print(random.random(), np.random.rand(), np.random.default_rng().random(), os.urandom(4))
print(secrets.token_hex(4), uuid.uuid4(), [hash(w) for w in ("a", "b")], {"x", "y", "z"})
"""


def test_what_is_drawn_at_random_is_the_same_behind_both_walls_and_again(picture):
    told = {
        run_behind(wall, DRAWN_AT_RANDOM, picture, DEFAULT).text
        for wall in (BUBBLEWRAP, LANDLOCK, BUBBLEWRAP)
    }
    assert len(told) == 1 and len(told.pop()) > 100


def test_both_walls_give_the_same_outcome(picture):
    codes = [*USEFUL.values(), "1 / 0", "import os; print(os.listdir()); os._exit(7)", "x ="]
    for code in codes:
        one, other = (run_behind(w, code, picture, DEFAULT) for w in (BUBBLEWRAP, LANDLOCK))
        assert (one.status, one.text, one.picture) == (other.status, other.text, other.picture)


# ---- remembered ----


def test_an_outcome_is_remembered_and_a_distinct_program_runs_once(tmp_path, picture, monkeypatch):
    ran = []

    def noting(wall, code, *rest):
        ran.append(code)
        return run_behind(wall, code, *rest)

    monkeypatch.setattr(python, "run_behind", noting)
    batch = [(f"print({i % 3})", picture) for i in range(9)] + [(USEFUL["crop"], picture)] * 2
    first = Programs(tmp_path).run(batch)
    assert [o.text for o in first] == ["0\n", "1\n", "2\n"] * 3 + ["", ""]
    assert sorted(ran) == sorted({code for code, _ in batch})
    assert Programs(tmp_path).run(batch) == first and len(ran) == 4
    assert open_image(first[-1].picture).size == (8, 6)


def test_an_outcome_is_asked_anew_where_anything_differs_that_it_depends_on(picture):
    other = to_png(Image.new("RGB", (4, 4)))
    keys = {
        key_of("print(1)", picture, DEFAULT, BUBBLEWRAP),
        key_of("print(2)", picture, DEFAULT, BUBBLEWRAP),
        key_of("print(1)", other, DEFAULT, BUBBLEWRAP),
        key_of("print(1)", picture, Limits(cpu=4), BUBBLEWRAP),
        key_of("print(1)", picture, DEFAULT, LANDLOCK),
    }
    assert len(keys) == 5
    assert key_of(b"print(1)", picture, Limits(), BUBBLEWRAP) in keys


# ---- many at once ----


def test_32_at_once_see_only_their_own_and_one_that_crashes_disturbs_none(wall):
    def one(number: int):
        mine = to_png(Image.new("RGB", (4, 4), (number, number, number)))
        code = (
            "import os, time\nfrom PIL import Image\nim = Image.open('input.png')\n"
            "time.sleep(0.3)\nprint(im.getpixel((0, 0))[0], len(os.listdir('.')))\n"
            "im.save('output.png')\n"
        ) + ("import ctypes; ctypes.string_at(0)" if number == 7 else "")
        return run_behind(wall, code + ("1/0" if number == 9 else ""), mine, Limits(seconds=30))

    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(one, range(32)))
    for number, outcome in enumerate(outcomes):
        assert outcome.text.startswith(f"{number} 2\n")
        assert outcome.status == {7: "crashed", 9: "failed"}.get(number, "ok")
        if number not in (7, 9):
            assert open_image(outcome.picture).getpixel((0, 0)) == (number, number, number)


def test_a_program_adds_at_most_three_processes(wall, picture):
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            seen.append(len(psutil.Process().children(recursive=True)))
            time.sleep(0.01)

    before = len(psutil.Process().children(recursive=True))
    watcher = threading.Thread(target=watch)
    watcher.start()
    for attack in TABLE:
        if attack.promise == "no other process":
            code = f"T = {{}}\n{BEGINNING}\n{attack.code}\n{ENDING}"
            assert "ESCAPED" not in run_behind(wall, code, picture, SHORT).text
    done.set()
    watcher.join()
    assert 0 < max(seen) - before <= 3
    assert len(psutil.Process().children(recursive=True)) == before


# ---- drawn programs ----

NAMES = st.sampled_from(["os", "sys", "x", "open", "print", "exec", "eval", "__builtins__", "im"])
LITERALS = st.one_of(
    st.integers(-(2**40), 2**40).map(repr), st.text(max_size=8).map(repr), st.just("None"),
    st.binary(max_size=8).map(repr), st.just("'output.png'"), st.just("'/etc/passwd'"),
)  # fmt: skip
TERMS = st.recursive(
    st.one_of(NAMES, LITERALS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(inner, NAMES).map(lambda p: f"{p[0]}.{p[1]}"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]} * {p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"{p[0]}[{p[1]}]"),
        st.lists(inner, max_size=3).map(lambda p: f"[{', '.join(p)}]"),
        st.tuples(inner, inner).map(lambda p: f"(lambda x: {p[0]})({p[1]})"),
    ),
    max_leaves=6,
)
CALLS = st.sampled_from(
    [
        "system",
        "fork",
        "kill",
        "remove",
        "chmod",
        "listdir",
        "execv",
        "popen",
        "symlink",
        "truncate",
        "_exit",
        "abort",
    ]
)
LINES = st.one_of(
    TERMS,
    TERMS.map(lambda term: f"x = {term}"),
    TERMS.map(lambda term: f"for im in [{term}]: pass"),
    st.tuples(CALLS, TERMS).map(lambda p: f"os.{p[0]}({p[1]})"),
    st.just("import os, sys"),
    st.text(max_size=20),
)
PROGRAMS = st.one_of(
    st.lists(LINES, min_size=1, max_size=5).map("\n".join), st.binary(max_size=60), st.text()
)


def _drawn(code, wall, picture):
    began, before = time.monotonic(), waited()
    outcome = run_behind(wall, code, picture, SHORT)
    took = time.monotonic() - began
    assert outcome.wall == wall.name and took < SHORT.seconds + 1 + waited() - before
    assert len(outcome.text.encode()) <= SHORT.text
    assert "root:" not in outcome.text and outcome.picture is None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=PROGRAMS)
def test_no_drawn_program_raises_escapes_or_outlives_bubblewrap(code, picture):
    _drawn(code, BUBBLEWRAP, picture)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=PROGRAMS)
def test_no_drawn_program_raises_escapes_or_outlives_landlock(code, picture):
    _drawn(code, LANDLOCK, picture)


def test_the_wall_of_this_machine_is_found_once(picture, monkeypatch):
    first = run("print(1)", picture)
    monkeypatch.setenv("PATH", os.environ["PATH"] + ":/nowhere")
    began = time.monotonic()
    assert run("print(1)", picture).wall == first.wall and time.monotonic() - began < 5
