"""An image processor that prepares each distinct picture of a step once.

TRL hands every row's picture to the processor, twice per step (for the prompt and for scoring). G
answers to a prompt show the same picture, so all but one of those 2·G preparations are repeats.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature, ProcessorMixin

FAMILIES = ("Qwen2VL",)  # image processors whose pictures are independent rows of patches


def remember_pictures(processor: ProcessorMixin) -> None:
    """Let the processor's image processor keep the pictures of its last call.

    Args:
        processor: Changed in place. Image processors of other families than Qwen's stay as they
            are.
    """
    images = processor.image_processor
    plain = type(images)
    if not plain.__name__.startswith(FAMILIES):
        return
    kept: dict[tuple, BatchFeature] = {}

    class Remembering(plain):  # type: ignore[misc, valid-type]
        def preprocess(self, images: Any, **settings: Any) -> BatchFeature:
            pictures = _flat(images)
            if settings.get("return_tensors", "pt") != "pt" or not _all_pillow(pictures):
                return super().preprocess(images, **settings)
            settings.pop("return_tensors", None)
            asked = str(sorted(settings.items(), key=str))
            # in RGB: the bytes of a palette picture do not tell its colours
            keys = [(asked, im.size, im.convert("RGB").tobytes()) for im in pictures]
            before = dict(kept)
            kept.clear()
            for key, picture in zip(keys, pictures, strict=True):
                if key not in kept:
                    kept[key] = before.get(key) or super().preprocess(
                        [picture], return_tensors="pt", **settings
                    )
            prepared = [kept[key] for key in keys]
            return BatchFeature(
                {name: torch.cat([one[name] for one in prepared]) for name in prepared[0]}
            )

    # saved under the usual name
    Remembering.__name__, Remembering.__qualname__ = plain.__name__, plain.__qualname__
    images.__class__ = Remembering


def _flat(images: Any) -> Sequence[Any]:
    if not isinstance(images, list | tuple):
        return [images]
    return [one for item in images for one in _flat(item)]


def _all_pillow(pictures: Sequence[Any]) -> bool:
    return bool(pictures) and all(isinstance(picture, Image.Image) for picture in pictures)
