"""The losses of a retriever with many vectors, on scores that no padding can change.

Scores are `sentence_transformers.util.maxsim`: of each query vector the best similarity with a
page's, summed up. A page that answers two questions of a batch is no wrong page for either.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util import all_gather, all_gather_padded, get_rank, maxsim
from torch import Tensor

TEMPERATURE = 0.02


def pairwise_loss(
    scores: Tensor, right: Tensor | None = None, excluded: Tensor | None = None
) -> Tensor:
    """Return the mean softplus of the hardest other page's lead over the right one's.

    Light-ColPali's (arXiv 2506.04997; specification, section 3); no temperature, no length.

    Args:
        scores: Of each query for each page, [queries, pages].
        right: The right page of each query, [queries]; page i of query i where nothing is said.
        excluded: Pages that are no wrong ones, [queries, pages].

    >>> round(float(pairwise_loss(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))), 4)
    0.3133
    """
    right = _right(scores, right)
    own = torch.zeros_like(scores, dtype=torch.bool).scatter(1, right[:, None], True)
    others = scores.masked_fill(own if excluded is None else own | excluded, -torch.inf).amax(1)
    return torch.nn.functional.softplus(others - scores.gather(1, right[:, None])[:, 0]).mean()


def infonce_loss(
    scores: Tensor, lengths: Tensor, temperature: float = TEMPERATURE,
    right: Tensor | None = None, excluded: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the cross-entropy of the right page among all, of scores per query vector.

    Args:
        scores, right, excluded: As in `pairwise_loss`.
        lengths: Vectors of each query, [queries].
    """
    per_vector = scores / lengths[:, None] / temperature
    if excluded is not None:
        per_vector = per_vector.masked_fill(excluded, -torch.inf)
    return torch.nn.functional.cross_entropy(per_vector, _right(scores, right))


class RetrievalLoss(torch.nn.Module):
    """The loss of a batch, as sentence-transformers' trainer asks for it.

    Args:
        model: A retriever; of each batch the first column are questions, the second their pages,
            and a third may be wrong pages. Labels are the numbers of both pages of a row,
            [rows, 2]: equal ones are one page.
        kind: `infonce` among all pages, or `pairwise` against the hardest one.
        gathered: Pages of all processes are looked at.
    """

    def __init__(
        self, model: MultiVectorEncoder, kind: Literal["infonce", "pairwise"], gathered: bool
    ):
        super().__init__()
        self.model, self.kind, self.gathered = model, kind, gathered

    def forward(self, columns: Sequence[dict[str, Any]], labels: Tensor) -> Tensor:
        asked = self.model(dict(columns[0]), task="query")
        pages = [self.model(dict(column), task="document") for column in columns[1:]]
        shown = [(page["token_embeddings"], page["attention_mask"].bool()) for page in pages]
        names, first = labels, 0
        if self.gathered:
            shown = [all_gather_padded(rows, mask, with_grad=True) for rows, mask in shown]
            names, first = all_gather(labels), get_rank() * len(labels)
        mask = asked["attention_mask"].bool()
        scores = torch.cat([
            maxsim(asked["token_embeddings"], rows, mask, there) for rows, there in shown
        ], dim=1)  # fmt: skip
        right = first + torch.arange(len(labels), device=scores.device)
        numbers = torch.cat([names[:, place] for place in range(len(shown))])
        excluded = labels[:, :1] == numbers[None, :]
        excluded.scatter_(1, right[:, None], False)
        if self.kind == "pairwise":
            return pairwise_loss(scores, right, excluded)
        return infonce_loss(scores, mask.sum(1), right=right, excluded=excluded)


def _right(scores: Tensor, right: Tensor | None) -> Tensor:
    return torch.arange(len(scores), device=scores.device) if right is None else right
