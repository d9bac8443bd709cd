"""Frames of video files: as many of each, at equal distances, the first and the last among them.

    clips(folder, ["left.mp4", "right.mp4"])

are two lists of 8 pictures each, of fewer where the shorter video has fewer frames. A clip is a
list of frames wherever it goes, never one tiled picture.

Covered: only files inside the data folder, only containers that name no other files (`files.py`),
and a bounded number of frames, pixels and bytes. Not covered: what a flaw in a decoder of FFmpeg
may do, and frames that a damaged file lost without a sign.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.reading.checks import BYTES_IN_ALL, Unusable
from tasks.reading.files import content, open_video
from tasks.records.images import MAX_PIXELS, to_png
from tasks.running.errors import UserError

FRAMES = 8  # of each clip (UnifiedReward, arXiv 2503.05236)
SIDE = 512  # the longer side of a frame: the paper's; larger ones would fill a disk as PNG
VIDEO = BYTES_IN_ALL
MOST_FRAMES = 20_000  # eleven minutes at 30 a second
MOST_DECODED = 20_000_000_000  # pixels: five minutes of 1920 x 1080 at 30 a second


def clips(folder: Path, videos: Sequence[Any], frames: int = FRAMES) -> list[list[bytes]]:
    """Return equally many frames of each video, as PNG.

    Args:
        videos: Paths inside the folder, or files as `datasets` stores them undecoded.
        frames: At most so many of each.

    Raises:
        Unusable: A file is refused, no video, damaged, or too long or large.
        UserError: PyAV is not installed.
    """
    files = [content(folder, video, "video", VIDEO) for video in videos]
    lengths = [sum(1 for _ in _decoded(file)) for file in files]
    number = min([frames, *lengths])
    if not number:
        raise Unusable("video without frames")
    return [
        _frames_at(positions(length, number), file)
        for length, file in zip(lengths, files, strict=True)
    ]


def positions(length: int, number: int) -> list[int]:
    """Return which of `length` frames are shown, of which there are at least `number`.

    >>> positions(10, 4), positions(3, 3), positions(5, 1)
    ([0, 3, 6, 9], [0, 1, 2], [0])
    """
    return [i * (length - 1) // max(1, number - 1) for i in range(number)]


def _frames_at(places: list[int], file: bytes) -> list[bytes]:
    wanted = set(places)
    return [_png(frame) for i, frame in enumerate(_decoded(file)) if i in wanted]


def _png(frame: Any) -> bytes:
    image = frame.to_image()
    image.thumbnail((SIDE, SIDE))  # keeps its ratio, and never enlarges
    return to_png(image, effort=1)


def _decoded(file: bytes) -> Iterator[Any]:
    """Yield the frames of a video; a file is decoded twice, as headers may not tell how many."""
    pixels = number = 0
    try:
        with open_video(file) as container:
            if not container.streams.video:
                raise Unusable("video without frames")
            _check_size(container.streams.video[0])
            for frame in container.decode(video=0):
                number, pixels = number + 1, pixels + _check_size(frame)
                if number > MOST_FRAMES or pixels > MOST_DECODED:
                    raise Unusable("video is too long")
                if frame.is_corrupt:
                    raise Unusable("unreadable video")
                if frame.rotation:
                    raise Unusable("video that has to be turned")
                yield frame
    except (Unusable, UserError):
        raise
    except Exception as error:  # damage makes decoders raise anything
        raise Unusable("unreadable video") from error


def _check_size(shown: Any) -> int:
    """Return the pixels of a frame, or of what a stream says that its frames are."""
    pixels = shown.width * shown.height
    if pixels > MAX_PIXELS:
        raise Unusable("video too large")
    return pixels
