"""Grounding: how well one answered box covers what an expression refers to (LISA's three numbers).

Follows the evaluation of Visual-RFT (arXiv 2503.01785; specification 7 and 10.13-10.15). We differ
in two places: the filled box stands for the mask that a segmentation model would draw from it, and
a picture without an answer counts 0 where the released code drops it from the mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tasks.records.boxes import Box, iou

EPSILON = 1e-6  # the reference adds it to every denominator
Polygon = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class MaskOverlap:
    """Pixels that two masks have in common and together."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union in [0, 1)."""
        return self.intersection / (self.union + EPSILON)


def box_overlap(predicted: Box | None, true: Box) -> float:
    """Return the overlap of the answered box, in [0, 1); 0 without an answer.

    Areas are shares of the picture: only so is the reference's 1e-6 as small as it is meant.
    """
    if predicted is None:
        return 0.0
    a, b = predicted.to((1.0, 1.0)), true.to((1.0, 1.0))
    overlap = iou(a, b)
    union = (a.area + b.area) / (1 + overlap)
    return overlap * union / (union + EPSILON)


def mean_box_overlap(predicted: Sequence[Box | None], true: Sequence[Box]) -> float | None:
    """Return mIoU, the mean overlap of the first box of each answer with the true one, in [0, 1).

    Args:
        predicted: The first or only box of each answer; None for an answer without one.

    Returns:
        The mean over all items; None without items.
    """
    overlaps = [box_overlap(p, t) for p, t in zip(predicted, true, strict=True)]
    return float(np.mean(overlaps)) if overlaps else None


def mask_overlap(
    predicted: Box | None, polygons: Sequence[Polygon], size: tuple[int, int]
) -> MaskOverlap:
    """Compare the filled answered box with the true polygons, pixel by pixel.

    Args:
        predicted: In any frame; its corners are rounded to whole pixels, the lower right one
            excluded. None, an answer without a box, covers nothing.
        polygons: Corners of the parts of the true object in pixels, drawn with their outlines.
        size: Width and height of the picture.
    """
    mask = Image.new("1", size)
    for polygon in polygons:
        ImageDraw.Draw(mask).polygon([tuple(corner) for corner in polygon], outline=1, fill=1)
    true = np.asarray(mask)  # [height, width]
    filled = np.zeros_like(true)
    if predicted is not None:
        x0, y0, x1, y1 = (max(0, v) for v in predicted.to(size).corners())
        filled[y0:y1, x0:x1] = True
    return MaskOverlap(int((true & filled).sum()), int((true | filled).sum()))


def mean_mask_overlap(overlaps: Sequence[MaskOverlap]) -> float | None:
    """Return gIoU, the mean over items of mask overlaps, in [0, 1); None without items."""
    return float(np.mean([one.iou for one in overlaps])) if overlaps else None


def total_mask_overlap(overlaps: Sequence[MaskOverlap]) -> float | None:
    """Return cIoU, all common pixels over all covered ones, in [0, 1); None without items.

    Large objects weigh more than in `mean_mask_overlap`.
    """
    if not overlaps:
        return None
    common = sum(one.intersection for one in overlaps)
    return common / (sum(one.union for one in overlaps) + EPSILON)
