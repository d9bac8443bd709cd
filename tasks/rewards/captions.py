"""Compares a caption with a reference: whole sentences strictly, and words of aligned sentences."""

from collections import Counter

import numpy as np
from scipy.optimize import linear_sum_assignment


def sentences(text: str) -> list[str]:
    """Split a caption at full stops.

    >>> sentences("A red star. A blue ring.")
    ['A red star', 'A blue ring']
    """
    return [part.strip() for part in text.split(".") if part.strip()]


def sentence_f1(text: str, reference: str) -> float:
    """Return the F1 of exactly matching sentences, in [0, 1].

    >>> sentence_f1("A red star. A ring.", "A red star. A blue ring.")
    0.5
    """
    given, true = Counter(sentences(text)), Counter(sentences(reference))
    common = sum((given & true).values())
    return 2 * common / max(1, given.total() + true.total())


def aligned_word_f1(text: str, reference: str) -> float:
    """Return the F1 of words, each sentence compared with the reference sentence it fits best.

    Finer than `sentence_f1`: one wrong colour in one of three sentences costs little, a sentence
    left out or made up costs all its words. Sentences are aligned one to one (Hungarian method).

    >>> round(aligned_word_f1("A red star. A ring.", "A red star. A blue ring."), 3)
    0.909
    """
    given = [Counter(s.lower().split()) for s in sentences(text)]
    true = [Counter(s.lower().split()) for s in sentences(reference)]
    words = sum(c.total() for c in given) + sum(c.total() for c in true)
    if not words:
        return 1.0
    if not given or not true:
        return 0.0
    common = np.array([[(g & t).total() for t in true] for g in given])
    return float(2 * common[linear_sum_assignment(-common)].sum() / words)


def described_better(first: str, second: str, reference: str) -> bool | None:
    """Return whether the first description has more of the reference's words; None without one.

    >>> described_better("A red star.", "A red ring.", "A large red star.")
    True
    """
    if not reference:
        return None
    return aligned_word_f1(first, reference) > aligned_word_f1(second, reference)
