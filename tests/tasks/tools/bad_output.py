"""Files that are no small picture of their own, as a program might leave them."""

import io
import os
import pickle
import struct
import zlib

import numpy as np
from PIL import Image

from tasks.records.images import TOOLS_BYTES, to_png

KINDS = ("a link", "a hard link", "a queue", "a folder", "10 GB with nothing in it", "nothing")


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
    for line in (
        b"SIMPLE  = T",
        b"BITPIX  = 8",
        b"NAXIS   = 2",
        b"NAXIS1  = 8",
        b"NAXIS2  = 8",
        b"END",
    )
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
    "too many bytes": to_png(Image.new("RGB", (8, 8))) + bytes(TOOLS_BYTES),
}  # fmt: skip
