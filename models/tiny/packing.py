"""One picture and many questions in one row: each sees the picture, and none sees another.

A row is `[picture | question 1, answer 1 | question 2, answer 2 | ...]`. Positions restart after
the picture for every question and a block mask hides the questions from each other, so the row
computes exactly what separate prompts would compute, and the picture only once. With seven
questions per picture this was the largest single saving of the tiny model's pretraining.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

IGNORED = -100
PADDING = -1  # segment of padding; 0 is the shared picture, 1.. are the questions


class Row(NamedTuple):
    """A packed row of `length` tokens."""

    input_ids: np.ndarray  # [length]
    positions: np.ndarray  # [3, length], M-RoPE (time, height, width)
    segments: np.ndarray  # [length]
    labels: np.ndarray  # [length], the token itself on answers, IGNORED elsewhere


class Packer:
    """Packs questions about equally sized square pictures in Qwen3-VL's chat format.

    Args:
        tokens_per_side: Merged visual tokens along one side of a picture.
        length: Tokens per row; questions that do not fit any more are left out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tokens_per_side: int, length: int):
        self.side, self.length = tokens_per_side, length
        token: Callable[[str], int] = tokenizer.convert_tokens_to_ids  # type: ignore[assignment]
        self.tokenizer = tokenizer
        self._encoded: dict[str, tuple[int, ...]] = {}
        self.opening = [token("<|im_start|>"), *self.encode("user\n")]
        self.start, self.end = token("<|vision_start|>"), token("<|vision_end|>")
        self.pad, self.eos = token("<|image_pad|>"), token("<|im_end|>")
        turn = self.encode("\n"), self.encode("assistant\n")
        self.turn = (self.eos, *turn[0], token("<|im_start|>"), *turn[1])

    def encode(self, text: str) -> tuple[int, ...]:
        """Encode a text; most come back thousands of times (encoding was 40 % of packing)."""
        if text not in self._encoded:
            if len(self._encoded) > 200_000:
                self._encoded.clear()
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            self._encoded[text] = tuple(ids)
        return self._encoded[text]

    def prefix(self, pictures: int) -> tuple[list[int], np.ndarray, int]:
        """Return the ids, positions and next position of a user turn opened by pictures."""
        ids, columns = list(self.opening), [np.arange(len(self.opening))] * 3
        following = len(ids)
        rows, cols = np.divmod(np.arange(self.side**2), self.side)
        for _ in range(pictures):
            ids += [self.start, *[self.pad] * self.side**2, self.end]
            first = following + 1
            last = first + self.side
            axes = (np.full(self.side**2, first), first + rows, first + cols)
            columns = [
                np.concatenate([old, [following], axis, [last]])
                for old, axis in zip(columns, axes, strict=True)
            ]
            following = last + 1
        return ids, np.stack(columns), following

    def pack(self, pairs: list[tuple[str, str]], pictures: int) -> Row:
        """Pack (question, answer) pairs after a prefix of `pictures` pictures (0 for none)."""
        prefix, positions, following = self.prefix(pictures)
        ids, columns = list(prefix), [positions]
        segments, labels = [0] * len(ids), [IGNORED] * len(ids)
        segment = 0
        for question, answer in pairs:
            asked = (*self.encode(question), *self.turn)
            answered = (*self.encode(answer), self.eos)
            size = len(asked) + len(answered)
            if len(ids) + size > self.length:
                continue
            segment += 1
            ids += asked + answered
            segments += [segment] * size
            labels += [IGNORED] * len(asked) + list(answered)
            columns.append(np.tile(np.arange(following, following + size), (3, 1)))
        rest = self.length - len(ids)
        columns.append(np.zeros((3, rest), np.int64))
        return Row(
            np.array(ids + [self.eos] * rest),
            np.concatenate(columns, axis=1),
            np.array(segments + [PADDING] * rest),
            np.array(labels + [IGNORED] * rest),
        )


def block_mask(segments: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive attention mask of packed rows.

    Args:
        segments: [rows, length].

    Returns:
        [rows, 1, length, length]: 0 where a token may look, a large negative number elsewhere.
    """
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    shared = segments[:, None, :] == 0
    same = segments[:, :, None] == segments[:, None, :]
    allowed = causal & (shared | same)
    allowed |= torch.eye(length, dtype=torch.bool, device=segments.device)  # padding sees itself
    mask = torch.zeros(allowed.shape, dtype=dtype, device=segments.device)
    return mask.masked_fill_(~allowed, -1e4)[:, None]


def image_patches(pixels: torch.Tensor, patch: int, merge: int) -> torch.Tensor:
    """Cut equally sized pictures into patches as Qwen's image processor does.

    Args:
        pixels: uint8 [pictures, side, side, 3].

    Returns:
        float [pictures * patches, 3 * patch * patch] in -1..1, patches in merge-block order.
    """
    n, side = pixels.shape[0], pixels.shape[1]
    blocks = side // (patch * merge)
    x = pixels.permute(0, 3, 1, 2).float().mul(1 / 127.5).sub(1)  # [n, 3, side, side]
    x = x.view(n, 3, blocks, merge, patch, blocks, merge, patch)
    x = x.permute(0, 2, 5, 3, 6, 1, 4, 7)  # [n, row, column, in-row, in-column, 3, patch, patch]
    return x.reshape(n * (side // patch) ** 2, 3 * patch * patch)


def merge_block_order(rows: int, columns: int, merge: int) -> np.ndarray:
    """Return the raster index of each patch in the order in which Qwen's vision tower sees them."""
    index = np.arange(rows * columns).reshape(rows // merge, merge, columns // merge, merge)
    return index.transpose(0, 2, 1, 3).reshape(-1)
