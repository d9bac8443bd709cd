"""The frame in which a model family writes boxes: chosen here and nowhere else.

Qwen3-VL writes integers in 0..1000 of any picture and the embedded model in 0..100; Qwen2.5-VL
writes pixels of the picture as its processor resized it; models of the LLaVA family that were
taught boxes (Visual-CoT) write decimals of the picture padded to a square. A box compared in the
wrong frame scores nothing and says nothing about it, the commonest question under every visual RFT
repository.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from PIL import Image

from tasks.records.boxes import Frame, square_of
from tasks.running.errors import UserError

Size = tuple[int, int]


@dataclass(frozen=True)
class Coordinates:
    """What a model's coordinates mean.

    Attributes:
        relative: A picture is 0..`relative` in both directions; 0 for pixels of the resized one,
            "square" for decimals of the padded one.
        processor: Resizes pictures; only needed for pixels.
    """

    relative: int | Literal["square"]
    processor: Any = None

    def frame(self, size: Size) -> Frame:
        """Return the frame for a picture of this size in pixels (width, height).

        A question without a picture (size 0 x 0) has a frame that holds one box, so that boxes in
        an answer to it can be read as well.

        Raises:
            UserError: The processor does not tell how it resizes.
        """
        if self.relative == "square":
            return square_of(size) if all(size) else (1, 1)
        if self.relative:
            return self.relative, self.relative
        if not all(size):
            return 1, 1
        return _resized(self.processor, size)


@lru_cache(maxsize=4096)
def _resized(processor: Any, size: Size) -> Size:
    """Ask the processor itself: it resizes an empty picture and says how many patches it has."""
    image_processor = getattr(processor, "image_processor", processor)
    found = image_processor(images=[Image.new("RGB", size)], return_tensors="pt")
    patch = getattr(image_processor, "patch_size", None)
    if "image_grid_thw" not in found or not patch:
        raise UserError(
            "`coordinates` is 0 (pixels of the resized picture)",
            f"{type(image_processor).__name__} does not say how large a picture becomes",
            "set `coordinates` to the model's relative frame, for example 1000",
        )
    _, rows, columns = found["image_grid_thw"][0].tolist()
    return columns * patch, rows * patch
