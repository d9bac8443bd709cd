"""What the embedded retriever is taught: pages of six sizes, and what each of their cells says.

The base has seen 6 x 6 tokens only and has never embedded anything. Pages start small, where a step
is cheap, and end as those of `tasks/world/pages.py`; all pages of a batch have one size. Each
question comes with its page, a near miss, what every patch shows, and the cells that its words
stand in.
"""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from sentence_transformers import MultiVectorEncoder
from torch.utils.data import Dataset

from models.retrieval.encoder import PageInput, new_retriever
from models.tiny.packing import merge_block_order
from models.tiny.retrieving import RetrieverPretraining
from models.tiny.vlm import MERGE, PATCH
from models.vlm.loading import load_model, load_processor
from tasks.world import drawing, pages
from tasks.world.base import fit_drawn
from tasks.world.lexicon import SIDE
from tasks.world.pages import Drawn, Part, Said

CELL = PATCH * MERGE  # pixels of a token's side
# Width and height in pixels, share of the steps, and questions of a batch and process
SIZES = (
    ((96, 128), 0.42, 16), ((160, 128), 0.18, 16), ((160, 192), 0.12, 12),
    ((192, 224), 0.10, 10), ((256, 224), 0.09, 8), ((pages.WIDTH, pages.HEIGHT), 0.09, 8),
)  # fmt: skip
NARROW = 60  # pixels that a line of two words needs


def teach_to_embed(
    folder: str, scratch: Path, logger: Logger | bool, *, width: int, steps: int,
    learning_rate: float, hold: float, processes: int, seed: int,
) -> MultiVectorEncoder:  # fmt: skip
    """Make a retriever of the base, or go on from the checkpoint in `scratch`.

    Args:
        folder: The base.
        width: Of a vector.
        hold: Share of the steps before the rate falls.
    """
    model = load_model(folder).float()
    most = pages.WIDTH * pages.HEIGHT
    encoder = new_retriever(model, load_processor(folder), None, width, seed, most).train()
    torch.set_num_threads(1)
    module = RetrieverPretraining(
        encoder, patch_labels=len(drawing.PATCH_LABELS), total_steps=steps,
        learning_rate=learning_rate, hold=hold,
    )  # fmt: skip
    lessons = partial(PageLessons, encoder[0], seed, steps)
    fit_drawn(module, lessons, scratch / "pages", logger, processes)
    return module.encoder.eval()


class PageLessons(Dataset):
    """Batch `i` is a function of (seed, rank, i) alone, so a resumed run sees the same pages.

    Args:
        inputs: Make what the model reads.
        steps: Of the whole training: the size of a batch's pages follows from its number.
    """

    def __init__(self, inputs: PageInput, seed: int, steps: int, rank: int = 0):
        self.inputs = inputs
        self.seed, self.rank, self.steps = seed, rank, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = random.Random(f"pages-{self.seed}-{self.rank}-{index}")
        size, number = size_of(index / self.steps)
        asked = [draw_lesson(rng, size) for _ in range(number)]
        shown = [page for page, _, _, _ in asked] + [near for _, _, _, near in asked]
        texts = [text for _, text, _, _ in asked]
        questions = self.inputs.preprocess(texts, task="query")
        cells = [
            _cells(self.inputs, text, facts, size, questions["input_ids"].shape[1])
            for _, text, facts, _ in asked
        ]  # fmt: skip
        order = merge_block_order(size[1] // PATCH, size[0] // PATCH, MERGE)
        labels = [
            drawing.patch_labels(page.marks, PATCH, size).reshape(-1, len(drawing.PATCH_LABELS))
            for page in shown
        ]  # fmt: skip
        told = [{fact.words for fact in facts} for _, _, facts, _ in asked]
        excluded = torch.tensor([[mine <= page.words for page in shown] for mine in told])
        excluded.fill_diagonal_(False)  # the right one
        return {
            "excluded": excluded,
            "questions": questions,
            "pages": self.inputs.preprocess([page.image for page in shown], task="document"),
            "cells": torch.stack(cells),
            "patch_labels": torch.from_numpy(np.stack([some[order] for some in labels])),
        }


def size_of(progress: float) -> tuple[tuple[int, int], int]:
    """Return the size of pages at a moment of the training, and the questions of a batch."""
    until = 0.0
    for size, share, number in SIZES:
        until += share
        if progress < until:
            return size, number
    return SIZES[-1][0], SIZES[-1][2]


def draw_lesson(
    rng: random.Random, size: tuple[int, int]
) -> tuple[Drawn, str, Sequence[Said], Drawn]:
    """Draw a page for training, a question, its facts, and a page that lacks the first of them."""
    while True:
        page = pages.draw_page(_layout(rng, size), size)
        if not pages.belongs(page, "train") or not (own := pages.said_once(page)):
            continue
        first = rng.choice(own)
        near = pages.near_miss(rng, [page], first.part)
        if near and first.words not in near.words:
            break
    more = [fact for fact in page.facts if fact != first]
    facts = [first, *rng.sample(more, min(rng.randint(1, pages.MOST_FACTS) - 1, len(more)))]
    return page, pages.put(rng, facts), facts, near


def _layout(rng: random.Random, size: tuple[int, int]) -> list[Part]:
    """Return blocks from the left and the top, and lines where none stand."""
    width, height = size
    if size == (pages.WIDTH, pages.HEIGHT):
        return pages.layout(rng, rng.choice(list(pages.SETS)))
    columns, rows = width // SIDE, height // SIDE
    slots = [(SIDE * x, SIDE * y) for y in range(rows) for x in range(columns)]
    parts = [Part(rng.choice(list(pages.BLOCKS)), pages.seed_of_part(rng), at)
             for at in slots if rng.random() < 0.85]  # fmt: skip
    lines: list[tuple[str, tuple[int, int]]] = []
    if width - columns * SIDE >= NARROW:
        lines += [("words", (columns * SIDE + 2, y)) for y in range(4, height - 12, pages.LINE)]
    lines += [("line", (x + 4, y)) for x in range(0, columns * SIDE, SIDE)
              for y in range(rows * SIDE + 2, height - 12, pages.LINE)]  # fmt: skip
    lines += [("line", (x + 4, y + d)) for x, y in slots if (x, y) not in {p.at for p in parts}
              for d in range(4, SIDE - 12, pages.LINE)]  # fmt: skip
    kept = [line for line in lines if rng.random() < 0.7] or lines
    return parts + [Part(kind, pages.seed_of_part(rng), at) for kind, at in kept]


def _cells(
    inputs: PageInput, text: str, facts: Sequence[Said], size: tuple[int, int], length: int
) -> torch.Tensor:
    """Return the cells that the words of each token of a question stand in, [tokens, cells].

    No cell for a token that is of no fact.
    """
    whole = inputs.question_texts([text])[0]
    spans = inputs.tokenizer(whole, return_offsets_mapping=True)["offset_mapping"]
    columns, rows = size[0] // CELL, size[1] // CELL
    found = torch.zeros(length, rows, columns, dtype=torch.bool)
    start = whole.find(text)
    for fact in facts:
        first = whole.find(fact.words, start)
        start = first + len(fact.words)
        x0, y0, x1, y1 = (int(value) // CELL for value in fact.box)
        for token, (begin, end) in enumerate(spans):
            if begin < start and end > first:
                found[token, max(0, y0) : y1 + 1, max(0, x0) : x1 + 1] = True
    return found.flatten(1)
