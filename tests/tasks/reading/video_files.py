"""Small videos that tests write: frame i is grey, of a brightness that tells which one it is."""

import io

import av
import numpy as np
from PIL import Image

STEP = 20  # of brightness between frames, so that compression cannot confuse them


def video(
    frames: int = 10, size: tuple[int, int] = (32, 32), first: int = 0, form: str = "mp4"
) -> bytes:
    """Return a video file.

    Args:
        first: The brightness of the first frame.
        form: The container.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            grey = np.full((size[1], size[0], 3), first + number * STEP, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def numbers(frames: list[bytes]) -> list[int]:
    """Return which frames of a video some pictures are."""
    return [round(np.asarray(Image.open(io.BytesIO(png))).mean() / STEP) for png in frames]
