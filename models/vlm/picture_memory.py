"""Pictures that are prepared once per step, and looked at once per training.

TRL hands every row's picture to the processor, twice per step (for the prompt and for scoring). G
answers to a prompt show the same picture, so all but one of those 2·G preparations are repeats. And
a vision tower that is not trained makes the same of a picture at every step.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BatchFeature, ProcessorMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling

MOST_BYTES = 512 * 2**20  # of towers' features: of the embedded model 20,000 pictures
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


@dataclass
class Seen(BaseModelOutputWithPooling):
    """What a tower returns, but for the states inside of it, which nobody asks for."""

    deepstack_features: list[torch.Tensor] | None = None


class TowerMemory:
    """What a frozen vision tower has made of the pictures so far, in place of its forward.

    Attributes:
        given: Pictures so far.
        computed: Of those, the ones that the tower looked at.
    """

    def __init__(self, tower: torch.nn.Module, most: int):
        self.forward, self.merged = tower.forward, tower.spatial_merge_size**2
        self.most, self.held = most, 0
        self.kept: OrderedDict[str, list[torch.Tensor]] = OrderedDict()
        self.read: dict[str, list[torch.Tensor]] = {}
        self.given = self.computed = 0

    @torch.no_grad()
    def __call__(self, hidden_states: torch.Tensor, grid_thw: torch.Tensor, **settings: Any) -> Any:
        """Return what the tower would.

        Args:
            hidden_states: Patches of all pictures, one after the other, [patches, numbers].
            grid_thw: Of each picture, [pictures, 3].
        """
        sizes = grid_thw.prod(-1).tolist()
        pictures, grids = hidden_states.split(sizes), grid_thw.tolist()
        mixed = torch.is_autocast_enabled(hidden_states.device.type)
        keys = [
            f"{grid} {picture.dtype} {mixed} {_sum(picture)}"
            for grid, picture in zip(grids, pictures, strict=True)
        ]
        made = {}
        for key in keys:
            if found := self.read.get(key) or self.kept.get(key):
                made[key] = found
        # one picture often stands in several rows
        new = {key: i for i, key in enumerate(keys) if key not in made}
        if new:
            places = list(new.values())
            out = self.forward(
                torch.cat([pictures[i] for i in places]), grid_thw=grid_thw[places], **settings
            )
            levels = [out.pooler_output, *(getattr(out, "deepstack_features", None) or [])]
            parts = [level.split([sizes[i] // self.merged for i in places]) for level in levels]
            for key, *found in zip(new, *parts, strict=True):
                made[key] = [part.clone() for part in found]
        self.given, self.computed = self.given + len(keys), self.computed + len(new)
        for key in made.keys() - self.read.keys():
            self._keep(key, made[key])
        together = [torch.cat(level) for level in zip(*(made[key] for key in keys), strict=True)]
        return Seen(pooler_output=together[0], deepstack_features=together[1:])

    def write(self, file: Path) -> None:
        """Write what is kept, for another training that has the same frozen tower."""
        levels = {f"{key} {n}": some for key, all_ in self.kept.items()
                  for n, some in enumerate(all_)}  # fmt: skip
        save_file(levels, file)

    def take(self, files: Sequence[Path]) -> None:
        """Read what was written, memory-mapped; the tower must be the one that made it."""
        for file in files:
            for name, level in sorted(load_file(file).items()):
                self.read.setdefault(name.rpartition(" ")[0], []).append(level)

    def _keep(self, key: str, levels: list[torch.Tensor]) -> None:
        """Keep the last ones that were asked for, as many as there is room for."""
        if key not in self.kept:
            self.held += _bytes(levels)
        self.kept[key] = levels
        self.kept.move_to_end(key)
        while self.held > self.most and len(self.kept) > 1:
            self.held -= _bytes(self.kept.popitem(last=False)[1])


def remember_tower(model: torch.nn.Module, most: int = MOST_BYTES) -> TowerMemory | None:
    """Let a vision tower that is not trained look at each picture once.

    Args:
        model: Of Qwen's families; changed in place. Others stay as they are.
        most: Bytes that are kept; what was asked for longest ago goes first.

    Returns:
        The memory; None for another family.
    """
    tower = getattr(getattr(model, "model", None), "visual", None)
    if tower is None or not hasattr(tower, "spatial_merge_size"):
        return None
    memory = TowerMemory(tower, most)
    tower.forward = memory
    return memory


def _sum(picture: torch.Tensor) -> str:
    data = picture.detach().contiguous().view(torch.uint8).cpu().numpy()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _bytes(levels: Sequence[torch.Tensor]) -> int:
    return sum(level.numel() * level.element_size() for level in levels)
