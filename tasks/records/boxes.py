"""Boxes that know their frame, and the overlap of two of them.

The commonest mistake in visual reinforcement learning is a box compared in the wrong frame, so a
`Box` carries the size of the frame that its coordinates refer to, and `Box.to` is the only place
that converts. A model family writes its own frame: Qwen3-VL integers in 0..1000, the embedded tiny
model integers in 0..100, Qwen2.5-VL pixels of the resized picture, and models of the LLaVA family
decimals of the picture padded to a square.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Frame = tuple[float, ...]  # width and height; or those of `square_of`


def square_of(size: tuple[float, float]) -> Frame:
    """Return the frame of a picture that is padded to a square on both of its short sides.

    Coordinates are decimals of the square in [0, 1] (GCoT's specification, section 5); the frame
    also holds the picture's own width and height.

    >>> Box(0, 0, 100, 50, (100, 50)).to(square_of((100, 50)))
    Box(x0=0.0, y0=0.25, x1=1.0, y1=0.75, frame=(1.0, 1.0, 100, 50))
    """
    return 1.0, 1.0, *size


def _padding(size: tuple[float, ...]) -> tuple[float, float, float]:
    """Return the side of a picture's square, and what is added on the left and at the top."""
    width, height = size
    side = max(width, height)
    return side, (side - width) // 2, (side - height) // 2


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with corners (x0, y0) and (x1, y1), origin at the top left.

    Attributes:
        frame: Width and height of the frame in the unit of the coordinates, so that the picture's
            right lower corner is `(frame[0], frame[1])`; see also `square_of`.

    >>> Box(24, 0, 48, 96, frame=(96, 96)).to((1000, 1000)).corners()
    [250, 0, 500, 1000]
    """

    x0: float
    y0: float
    x1: float
    y1: float
    frame: Frame

    @property
    def valid(self) -> bool:
        """True if the corners are ordered, the area is positive and the box lies in its frame."""
        width, height = self.frame[:2]
        return 0 <= self.x0 < self.x1 <= width and 0 <= self.y0 < self.y1 <= height

    @property
    def area(self) -> float:
        """Area in squared frame units; negative extents count as zero."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def to(self, frame: Frame) -> "Box":
        """Return the same rectangle in the coordinates of another frame.

        From a padded square it is clipped to the picture.
        """
        if frame == self.frame:
            return self
        if len(self.frame) > 2:
            return self._unpadded().to(frame)
        if len(frame) > 2:
            return self.to(frame[2:])._padded(frame)
        sx, sy = frame[0] / self.frame[0], frame[1] / self.frame[1]
        return Box(self.x0 * sx, self.y0 * sy, self.x1 * sx, self.y1 * sy, frame)

    def _padded(self, frame: Frame) -> "Box":
        side, left, top = _padding(self.frame)
        return Box(
            (self.x0 + left) / side, (self.y0 + top) / side,
            (self.x1 + left) / side, (self.y1 + top) / side, frame,
        )  # fmt: skip

    def _unpadded(self) -> "Box":
        width, height = self.frame[2:]
        side, left, top = _padding((width, height))

        def within(value: float, most: float) -> float:
            return max(0.0, min(most, value))

        return Box(
            within(self.x0 * side - left, width), within(self.y0 * side - top, height),
            within(self.x1 * side - left, width), within(self.y1 * side - top, height),
            (width, height),
        )  # fmt: skip

    def corners(self) -> list[int]:
        """Return the corners rounded to integers, as a model writes them."""
        return [round(v) for v in (self.x0, self.y0, self.x1, self.y1)]

    def grown(self, share: float) -> "Box":
        """Return the box enlarged by `share` of its size on every side, clipped to the frame."""
        dx, dy = share * (self.x1 - self.x0), share * (self.y1 - self.y0)
        width, height = self.frame[:2]
        return Box(
            max(0, self.x0 - dx), max(0, self.y0 - dy),
            min(width, self.x1 + dx), min(height, self.y1 + dy), self.frame,
        )  # fmt: skip


def boxes_from(corners: Sequence[Sequence[float]], frame: Frame) -> list[Box]:
    """Turn rows of four numbers in one frame into boxes."""
    return [Box(x0, y0, x1, y1, frame) for x0, y0, x1, y1 in corners]


def written(box: Box, frame: Frame) -> list[float]:
    """Return the corners as a model writes them: integers, the last one of a frame its size less 1.

    In a padded square they are three decimals.

    >>> written(Box(0, 0, 96, 48, (96, 96)), (1000, 1000))
    [0, 0, 999, 500]
    """
    if len(frame) > 2:
        there = box.to(frame)
        ends = (there.x0, there.y0, there.x1, there.y1)
        return [round(max(0.0, min(1.0, v)), 3) for v in ends]
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
