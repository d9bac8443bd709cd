"""The losses of a retriever with many vectors, on scores that no padding can change.

Scores are `sentence_transformers.util.maxsim`: of each query vector the best similarity with a
page's, summed up.
"""

import torch
from torch import Tensor


def pairwise_loss(scores: Tensor) -> Tensor:
    """Return the mean softplus of the hardest other page's lead over the right one's.

    Light-ColPali's (arXiv 2506.04997; specification, section 3); no temperature, no length.

    Args:
        scores: Of each query for each page, [queries, pages]; page i is the right one of query i,
            and there may be more.

    >>> round(float(pairwise_loss(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))), 4)
    0.3133
    """
    right = scores.diagonal()
    own = torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
    others = scores.masked_fill(own, -torch.inf).amax(1)
    return torch.nn.functional.softplus(others - right).mean()


def infonce_loss(scores: Tensor, lengths: Tensor, temperature: float = 0.02) -> Tensor:
    """Return the cross-entropy of the right page among all, of scores per query vector.

    Args:
        scores: As in `pairwise_loss`.
        lengths: Vectors of each query, [queries].
    """
    per_vector = scores / lengths[:, None] / temperature
    right = torch.arange(len(scores), device=scores.device)
    return torch.nn.functional.cross_entropy(per_vector, right)
