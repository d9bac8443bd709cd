"""Teaches a tiny vision-language model to embed pages: the recipe of its pretraining."""

from typing import Any

import torch
import torch.nn.functional as F
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util import maxsim
from torch import Tensor

from models.retrieval.encoder import PATCHES, ROWS
from models.retrieval.losses import infonce_loss
from models.tiny.pretraining import PackedPretraining, patch_loss

POINTING, SHARPNESS = 0.5, 0.1  # weight and temperature of the loss on where words stand


class RetrieverPretraining(PackedPretraining):
    """Trains the whole of a retriever on questions, their pages and near misses.

    Three losses: the page among all pages of the batch (InfoNCE); of every word of a question the
    cells that it stands in among all of its page, as there are too few pages in a batch to learn
    from alone; and what every patch shows, as in pretraining, so that characters are read at
    positions that the model has never seen.

    Args:
        encoder: A retriever that merges nothing.
        settings: Of `PackedPretraining`.
    """

    def __init__(self, encoder: MultiVectorEncoder, **settings: Any):
        super().__init__(encoder[0].model, **settings)
        self.encoder = encoder
        self.seen: Tensor | None = None
        encoder[0].model.model.visual.register_forward_hook(self._keep)

    def losses(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the loss of finding (pages and cells) and the patch loss."""
        asked = self.encoder(dict(batch["questions"]), task="query")
        shown = self.encoder(dict(batch["pages"]), task="document")
        words, there = asked[ROWS].float(), asked["attention_mask"].bool()
        rows = shown[ROWS].float()
        found = infonce_loss(
            maxsim(words, rows, there, shown["attention_mask"].bool()), there.sum(1),
            excluded=batch["excluded"],
        )  # fmt: skip
        cells = rows[batch["pages"][PATCHES]].view(len(rows), -1, rows.shape[-1])
        pointed = pointing_loss(words, cells[: len(words)], batch["cells"])
        self.log_dict({"train/infonce": found, "train/pointing": pointed})
        return found + POINTING * pointed, patch_loss(
            self.patch_head(self.seen), batch["patch_labels"].flatten(0, 1)
        )

    def _keep(self, _: torch.nn.Module, __: Any, made: Any) -> None:
        self.seen = made.last_hidden_state


def pointing_loss(words: Tensor, cells: Tensor, right: Tensor) -> Tensor:
    """Return how little of a word's attention falls on the cells that it stands in, in nats.

    Args:
        words: Unit vectors, [questions, tokens, width].
        cells: Unit vectors of each question's page, [questions, cells, width].
        right: Which cells those are, [questions, tokens, cells]; of some words there are none.
    """
    alike = torch.einsum("qtw,qcw->qtc", words, cells) / SHARPNESS
    told = right.any(-1)
    mass = F.log_softmax(alike, -1).masked_fill(~right, -torch.inf)[told].logsumexp(-1)
    return -mass.mean() if told.any() else alike.sum() * 0
