"""Boxes that know their frame, and the overlap of two of them.

The commonest mistake in visual reinforcement learning is a box compared in the wrong frame, so a
`Box` carries the size of the frame that its coordinates refer to, and `Box.to` is the only place
that converts. A model family writes its own frame: Qwen3-VL integers in 0..1000, the embedded tiny
model integers in 0..100, Qwen2.5-VL pixels of the resized picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with corners (x0, y0) and (x1, y1), origin at the top left.

    Attributes:
        frame: Width and height of the frame in the unit of the coordinates, so that the picture's
            right lower corner is `(frame[0], frame[1])`.

    >>> Box(24, 0, 48, 96, frame=(96, 96)).to((1000, 1000)).corners()
    [250, 0, 500, 1000]
    """

    x0: float
    y0: float
    x1: float
    y1: float
    frame: tuple[float, float]

    @property
    def valid(self) -> bool:
        """True if the corners are ordered, the area is positive and the box lies in its frame."""
        width, height = self.frame
        return 0 <= self.x0 < self.x1 <= width and 0 <= self.y0 < self.y1 <= height

    @property
    def area(self) -> float:
        """Area in squared frame units; negative extents count as zero."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def to(self, frame: tuple[float, float]) -> "Box":
        """Return the same rectangle in the coordinates of another frame."""
        sx, sy = frame[0] / self.frame[0], frame[1] / self.frame[1]
        return Box(self.x0 * sx, self.y0 * sy, self.x1 * sx, self.y1 * sy, frame)

    def corners(self) -> list[int]:
        """Return the corners rounded to integers, as a model writes them."""
        return [round(v) for v in (self.x0, self.y0, self.x1, self.y1)]

    def grown(self, share: float) -> "Box":
        """Return the box enlarged by `share` of its size on every side, clipped to the frame."""
        dx, dy = share * (self.x1 - self.x0), share * (self.y1 - self.y0)
        width, height = self.frame
        return Box(
            max(0, self.x0 - dx), max(0, self.y0 - dy),
            min(width, self.x1 + dx), min(height, self.y1 + dy), self.frame,
        )  # fmt: skip


def boxes_from(corners: Sequence[Sequence[float]], frame: tuple[float, float]) -> list[Box]:
    """Turn rows of four numbers in one frame into boxes."""
    return [Box(x0, y0, x1, y1, frame) for x0, y0, x1, y1 in corners]


def written(box: Box, frame: tuple[float, float]) -> list[int]:
    """Return the corners as a model writes them: integers, the last one of a frame its size less 1.

    >>> written(Box(0, 0, 96, 48, (96, 96)), (1000, 1000))
    [0, 0, 999, 500]
    """
    limits = (frame[0] - 1, frame[1] - 1) * 2
    found = box.to(frame).corners()
    return [round(max(0, min(limit, v))) for v, limit in zip(found, limits, strict=True)]


def iou(a: Box, b: Box) -> float:
    """Return intersection over union in [0, 1]; 0 when the boxes do not overlap.

    Continuous coordinates, without the "+1" pixel convention (Visual-RFT, arXiv 2503.01785,
    section 3.2; specification 4.1). `b` is converted to the frame of `a`.
    """
    if b.frame != a.frame:
        b = b.to(a.frame)
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    return intersection / (a.area + b.area - intersection)


def giou(a: Box, b: Box) -> float:
    """Return generalised intersection over union in (-1, 1] (Rezatofighi et al., CVPR 2019).

    Boxes that do not touch are told apart by their distance: the share of the enclosing rectangle
    that neither covers is subtracted. `b` is converted to the frame of `a`.
    """
    if b.frame != a.frame:
        b = b.to(a.frame)
    around = (max(a.x1, b.x1) - min(a.x0, b.x0)) * (max(a.y1, b.y1) - min(a.y0, b.y0))
    overlap = iou(a, b)
    union = (a.area + b.area) / (1 + overlap)
    return overlap - (around - union) / around
