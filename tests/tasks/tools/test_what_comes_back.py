"""Protects us from what comes back: files that are none, pictures that are bombs, objects."""

import base64
import io
import os
import pickle
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from tasks.records.images import BadPicture, check_from_tool, to_png
from tasks.tools.folders import read_output
from tasks.tools.outcome import LONGEST, run_behind
from tasks.tools.python import DEFAULT
from tasks.tools.walls import BUBBLEWRAP

# ---- something else in its output's place ----


def put(kind: str, folder) -> None:
    """Lay something at `output` in a folder; a canary lies beside it."""
    output, canary = folder / "output", folder / "canary"
    canary.write_text("secret")
    match kind:
        case "a link":
            output.symlink_to(canary)
        case "a hard link":
            output.hardlink_to(canary)
        case "a queue":
            os.mkfifo(output)
        case "a folder":
            output.mkdir()
        case "10 GB with nothing in it":
            output.touch()
            os.truncate(output, 10 * 2**30)
        case "nothing":
            pass


@pytest.mark.parametrize(
    "kind", ["a link", "a hard link", "a queue", "a folder", "10 GB with nothing in it", "nothing"]
)
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


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def pixels(width: int, height: int) -> bytes:
    return chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))


def as_format(name: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format=name, **options)
    return buffer.getvalue()


class Opens:
    """What a pickle would do when it is read."""

    def __reduce__(self):
        return os.mkdir, ("/tmp/unpickled",)


def frames(count: int) -> bytes:
    buffer = io.BytesIO()
    some = [Image.new("L", (4, 4), i % 256) for i in range(count)]
    some[0].save(buffer, format="PNG", save_all=True, append_images=some[1:])
    return buffer.getvalue()


def array_of_objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Opens()]), allow_pickle=True)
    return buffer.getvalue()


FITS = b"".join(
    line.ljust(80)
    for line in (b"SIMPLE  = T", b"BITPIX  = 8", b"NAXIS   = 2", b"NAXIS1  = 8", b"NAXIS2  = 8", b"END")
).ljust(2880)
BAD = {
    "40,000 squared": png(40_000, 40_000, chunk(b"IDAT", bytes(50_000))),
    "one above the most": png(16_000, 1001, pixels(16_000, 1001)),
    "a bomb of text": png(
        4, 4, pixels(4, 4), chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(70_000_000)))
    ),
    "10,000 frames": frames(10_000),
    "EPS": as_format("EPS"),
    "PDF": as_format("PDF"),
    "TIFF": as_format("TIFF"),
    "GIF": as_format("GIF"),
    "BMP": as_format("BMP"),
    "WEBP": as_format("WEBP"),
    "FITS": FITS + bytes(2880),
    "EPS in text": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/eps) (w) file\n",
    "a pickle": pickle.dumps(Opens()),
    "an array of objects": array_of_objects(),
    "a program": b"import os; os.mkdir('/tmp/unpickled')",
    "half a picture": to_png(Image.effect_noise((64, 64), 50))[:2000],
    "no picture": b"status: ok",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_small_png_or_jpeg_is_refused_before_it_costs_anything(name):
    began = time.process_time()
    with pytest.raises(BadPicture):
        check_from_tool(BAD[name])
    assert time.process_time() - began < 1


def test_what_is_too_long_is_refused():
    with pytest.raises(BadPicture, match="too large"):
        check_from_tool(to_png(Image.new("RGB", (8, 8))) + bytes(16_000_000))


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
