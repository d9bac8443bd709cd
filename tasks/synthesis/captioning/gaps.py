"""How much likelier the picture makes each token of a text.

Specification of ScaleCap (arXiv 2506.19848), section 4 (`token_gaps`). The published gap is the
difference of probabilities, the released one that of raw logits, whose normalisers differ (section
8, item 2); log-probabilities are the default.
"""

import math
from collections.abc import Sequence
from typing import Literal

Gap = Literal["logprob", "prob", "logit"]


def token_gaps(
    with_picture: Sequence[Sequence[float]],
    without: Sequence[Sequence[float]],
    ids: Sequence[int],
    kind: Gap = "logprob",
) -> list[float]:
    """Return the gap of every token, from the logits of two passes over prompt and text.

    >>> [round(gap, 3) for gap in token_gaps([[0, 1], [0, 0]], [[1, 0], [0, 0]], [1])]
    [1.0]

    Args:
        with_picture, without: Logits, [positions, words]; the last one predicts past the end, and
            the ones before it the tokens. The prompts may differ in length.
        ids: The tokens.

    Raises:
        ValueError: There are fewer positions than tokens and one.
    """
    needed = len(ids) + 1
    if len(with_picture) < needed or len(without) < needed:
        raise ValueError(f"{len(ids)} tokens need {needed} rows of logits")
    rows = (matrix[-needed:-1] for matrix in (with_picture, without))
    return [
        _value(seen, one, kind) - _value(unseen, one, kind)
        for seen, unseen, one in zip(*rows, ids, strict=True)
    ]


def gaps_of(
    with_picture: Sequence[float], without: Sequence[float], kind: Gap = "logprob"
) -> list[float]:
    """Return the gaps of tokens whose log-probabilities are known.

    >>> gaps_of([0.0], [-1.0])
    [1.0]

    Raises:
        ValueError: The passes have scored different numbers of tokens, or logits are asked for.
    """
    if kind == "logit":
        raise ValueError("log-probabilities do not tell logits")
    if kind == "prob":
        with_picture, without = ([math.exp(v) for v in side] for side in (with_picture, without))
    return [seen - unseen for seen, unseen in zip(with_picture, without, strict=True)]


def _value(logits: Sequence[float], one: int, kind: Gap) -> float:
    if kind == "logit":
        return logits[one]
    largest = max(logits)
    log_sum = largest + math.log(sum(math.exp(v - largest) for v in logits))
    return logits[one] - log_sum if kind == "logprob" else math.exp(logits[one] - log_sum)
