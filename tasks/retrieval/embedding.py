"""Turns pages into vectors, batch by batch, and keeps them in an index.

A page that is in the index already is not embedded again: a killed indexing goes on where it was.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from sentence_transformers import MultiVectorEncoder

from models.retrieval.encoder import (
    GRIDS,
    GROUPS,
    PATCHES,
    ROWS,
    Merging,
    identity,
    load_retriever,
)
from tasks.asking.opening import opened, pick_device
from tasks.records.images import open_image
from tasks.records.pages import Page
from tasks.retrieval.index import Embedded, PageIndex
from tasks.running.errors import UserError

AT_ONCE, PER_SEGMENT = 8, 64  # pages
THUMBNAIL = 160  # pixels of the longer side


def open_retriever(folder: str, device: str, merging: Merging | None = None) -> MultiVectorEncoder:
    """Open a retriever on an accelerator (Lightning's name), to embed.

    Args:
        merging: In place of the one that it was saved with.

    Raises:
        UserError: It cannot be opened, or the device is not there.
    """
    encoder = opened(folder, lambda: load_retriever(folder, merging))
    return encoder.to(pick_device(device))


def add_pages(
    encoder: MultiVectorEncoder, pages: Iterable[Page], index: PageIndex, at_once: int = AT_ONCE
) -> Iterator[int]:
    """Embed pages that are not in an index yet, and add them; yields how many, as they come."""
    known = {entry.id for entry in index.entries}
    held: list[Embedded] = []
    new = (page for page in pages if page.id not in known)
    while some := list(islice(new, at_once)):
        held += embed_pages(encoder, some)
        if len(held) >= PER_SEGMENT:
            index.add(held)
            yield len(held)
            held = []
    if held:
        index.add(held)
        yield len(held)


@torch.inference_mode()
def embed_pages(encoder: MultiVectorEncoder, pages: Sequence[Page]) -> list[Embedded]:
    """Return the vectors of pages, with the group of every patch."""
    pictures = [open_image(page.image) for page in pages]
    features = encoder[0].preprocess(pictures, task="document")
    features = {k: v.to(encoder.device) if torch.is_tensor(v) else v for k, v in features.items()}
    patches, grids = features[PATCHES], features[GRIDS]
    made = encoder(features, task="document")
    found = []
    for i, (page, picture) in enumerate(zip(pages, pictures, strict=True)):
        rows = made[ROWS][i][made["attention_mask"][i].bool()].float().cpu()
        if GROUPS in made:
            groups = made[GROUPS][i]
        else:  # nothing is merged: the patches first, as in an index that merges
            mine = patches[i][: len(rows)].cpu()
            rows = torch.cat([rows[mine], rows[~mine]])
            groups = torch.arange(int(mine.sum()))
        found.append(
            Embedded(
                page.id, page.document, page.number, rows, groups, grids[i], picture.size,
                _thumbnail(picture),
            )
        )  # fmt: skip
    return found


@torch.inference_mode()
def embed_questions(encoder: MultiVectorEncoder, texts: Sequence[str]) -> list[torch.Tensor]:
    """Return the vectors of questions, each [vectors, width]."""
    return [rows.float().cpu() for rows in encoder.encode_query(list(texts), batch_size=32)]


def _thumbnail(picture: Image.Image) -> bytes:
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, format="JPEG", quality=80)
    return buffer.getvalue()


def open_maker(index: PageIndex, retriever: Path, device: str) -> MultiVectorEncoder:
    """Open the retriever that made an index.

    Raises:
        UserError: It is another one, or cannot be opened.
    """
    if identity(retriever) != index.made.model:
        raise UserError(
            f"{retriever} did not make the index {index.folder}",
            f"it is {identity(retriever)}, and the vectors are those of {index.made.model}",
            "name the retriever that did, or make the index again",
        )
    return open_retriever(str(retriever), device)
