"""Pictures that a data set may hold against us, by name; no two are wrong in the same way."""

import gzip
import io
import pickle
import random
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile

from tasks.records.images import FORMATS

EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    b"(%pipe%touch /tmp/owned) (w) file\nshowpage\n"
)


def noise(width: int = 24, height: int = 16) -> Pillow.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Pillow.fromarray(values)


def encoded(form: str, picture: Pillow.Image | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    (picture or noise()).save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def png(*chunks: bytes, size: tuple[int, int] = (1, 1), bits: int = 8) -> bytes:
    """Write a grey PNG with some chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def tiff(*tags: tuple[int, int, int, int], after: bytes = b"", next_at: int = 0) -> bytes:
    """Write a TIFF of some tags: number, kind, count, value."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags) & 0xFFFF) + entries + struct.pack("<I", next_at)
    return b"II*\0" + struct.pack("<I", 8) + directory + after


GREY = ((256, 4, 1, 9), (257, 4, 1, 9), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 9), (279, 4, 1, 81))  # fmt: skip


def changed(*tags: tuple[int, int, int, int], **more) -> bytes:
    numbers = {tag[0] for tag in tags}
    return tiff(*(tag for tag in GREY if tag[0] not in numbers), *tags, **more)


def scans(number: int) -> bytes:
    """Write a JPEG that is to be decoded many times over, 95 bytes for each time."""
    data = encoded("JPEG", Pillow.new("L", (4000, 4000)), progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * number + data[-2:]


def gif(width: int, height: int) -> bytes:
    data = bytearray(encoded("GIF", Pillow.new("L", (4, 4))))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp(offset: int, value: int) -> bytes:
    data = bytearray(encoded("BMP"))
    data[offset : offset + 4] = struct.pack("<I", value)
    return bytes(data)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(9_000_000))
    return buffer.getvalue()


class Runs:
    """What a pickle runs when it is opened."""

    def __reduce__(self):
        return print, ("OWNED",)


def other_kinds() -> dict[str, bytes]:
    """Return what is called .png and is no picture of a kind that is read."""
    made = {form: encoded(form) for form in ("EPS", "PDF", "ICO", "PCX", "PPM", "TGA", "DDS", "IM",
                                             "SGI", "ICNS", "SPIDER", "JPEG2000")}  # fmt: skip
    made["XBM"] = encoded("XBM", noise().convert("1"))
    return made | {
        "EPS that runs a program": EPS,
        "EPS below a binary header": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(EPS)) + EPS,
        "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(64),
        "FLI": bytes(4) + b"\x11\xaf" + bytes(130),
        "WMF": b"\xd7\xcd\xc6\x9a" + bytes(60),
        "EMF": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60),
        "SVG": b"<svg><image href='http://127.0.0.1:9/'/></svg>",
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(99),
        "GRIB": b"GRIB" + bytes(3) + b"\1" + bytes(99),
        "FITS": b"SIMPLE  =                    T" + b" " * 2850,
        "MPEG": b"\0\0\1\xb3" + bytes(99),
        "HTML": b"<script src='http://127.0.0.1:9/'></script>",
        "pickle": pickle.dumps(Runs()),
        "zip": zipped(),
        "gzip": gzip.compress(bytes(9_000_000)),
        "nothing": b"",
        "zeros": bytes(100_000),
        "polyglot of PDF and JPEG": b"%PDF-1.4\n" + encoded("JPEG"),
    }


def bombs() -> dict[str, tuple[bytes, str]]:
    """Return pictures that are to take much memory or time, and why each is not used."""
    too_large, narrow = "picture too large", "picture is too long and narrow"
    text, broken = "picture with too much text beside its pixels", "unreadable picture"
    zeros = zlib.compress(bytes(20_000_000), 1)
    return {
        "PNG of 2,147,483,647 pixels a side": (png(size=(2**31 - 1, 2**31 - 1)), too_large),
        "PNG of 60,000 pixels a side": (png(size=(60_000, 60_000)), too_large),
        "PNG of a strip": (encoded("PNG", Pillow.new("1", (1, 60_000))), narrow),
        "PNG with 20 MB of text": (png(chunk(b"zTXt", b"a\0\0" + zeros)), text),
        "PNG with 20 MB of Unicode": (png(chunk(b"iTXt", b"a\0\1\0\0\0" + zeros)), text),
        "PNG with 20 MB of colours": (png(chunk(b"iCCP", b"a\0\0" + zeros)), text),
        "PNG with many texts": (
            png(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))] * 80), text,
        ),
        "PNG of nothing": (png(size=(0, 0)), broken),
        "PNG with a palette of no colours": (png(chunk(b"PLTE", b"")), ""),
        "PNG with 20,000 empty chunks": (png(*[chunk(b"IDAT", b"")] * 20_000), ""),
        "PNG of two million frames": (png(chunk(b"acTL", struct.pack(">II", 2**21, 0))), ""),
        "GIF with a screen of 65,535 pixels a side": (gif(65_535, 65_535), too_large),
        "GIF with a screen that is a strip": (gif(1, 60_000), narrow),
        "BMP of many pixels": (bmp(18, 2**31 - 1), too_large),
        "BMP of negative width": (bmp(18, 2**32 - 5), ""),
        "BMP of many colours": (bmp(46, 2**32 - 1), ""),
        "BMP with pixels behind its end": (bmp(10, 2**32 - 1), broken),
        "BMP of an unknown compression": (bmp(30, 77), broken),
        "JPEG of 170 scans": (scans(170), "picture takes too long to decode"),
        "JPEG cut": (encoded("JPEG")[:-60], broken),
        "JPEG with endless application data": (b"\xff\xd8" + b"\xff\xe1\0\2" * 20_000, broken),
        "WebP of many pixels": (
            b"RIFF\x1e\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0" + b"\xff\xff\xff\xff\xff\0" + bytes(8), "",
        ),
        "TIFF of many pixels": (changed((256, 4, 1, 10**6), (257, 4, 1, 10**6)), too_large),
        "TIFF without tags": (tiff(), broken),
        "TIFF of 65,535 tags": (tiff(*GREY, *[(40_000, 4, 1, 1)] * 65_000), ""),
        "TIFF with a tag of four billion values": (changed((700, 1, 2**32 - 1, 8)), ""),
        "TIFF with a strip behind its end": (changed((273, 4, 1, 2**32 - 9)), broken),
        "TIFF with 30 million strips": (changed((273, 4, 30_000_000, 8), (278, 4, 1, 1)), broken),
        "TIFF with huge tiles": (
            changed((322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8), (325, 4, 1, 9)), "",
        ),
        "TIFF of 65,535 samples": (changed((277, 3, 1, 65_535)), broken),
        "TIFF whose directory is its own next": (changed(next_at=8), ""),
        "TIFF of a damaged JPEG": (changed((259, 3, 1, 7)), broken),
        "TIFF of damaged LZW": (changed((259, 3, 1, 5)), broken),
    }  # fmt: skip


def mutations(number: int) -> list[tuple[str, bytes]]:
    """Return damaged copies of pictures, some cut and some with bytes changed."""
    rng, made = random.Random(0), []
    frames = [noise(), noise()]
    whole = {form: encoded(form) for form in FORMATS}
    whole["MPO"] = encoded("MPO", save_all=True, append_images=frames)
    whole["LZW"] = encoded("TIFF", compression="tiff_lzw")
    whole["JPEG in TIFF"] = encoded("TIFF", compression="jpeg")
    whole["APNG"] = encoded("PNG", save_all=True, append_images=frames)
    whole["GIF of frames"] = encoded("GIF", save_all=True, append_images=frames)
    whole["WebP of frames"] = encoded("WEBP", save_all=True, append_images=frames)
    for i in range(number):
        for form, data in whole.items():
            damaged = bytearray(data)
            for _ in range(1 + i % 8):
                # headers are where damage goes far
                end = len(damaged) if i % 3 else min(64, len(damaged))
                damaged[rng.randrange(end)] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
            if i % 4 == 3:
                del damaged[rng.randrange(len(damaged)) :]
            made.append((f"{form} {i}", bytes(damaged)))
    return made


assert not ImageFile.LOAD_TRUNCATED_IMAGES
