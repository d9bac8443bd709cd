"""The arms of GCoT's experiment, by name, and how each of them is asked."""

from tasks.reproduction.arms import BASE

SIZES, SIZE_OF_ALL_ARMS = (8, 16, 64), 16  # numbers of examples
ANSWERS, CHAINS, GCOT = "answers", "chains", "GCoT"
REASONED, TRUE_CHAINS = "zero-shot, asked to reason", "chains without slips"
TOKENS, UNVERIFIED, OTHERS = "answers, as many tokens", "boxes, unverified", "boxes of other facts"
ONE_PASS, COORDINATES = "GCoT, one pass", "GCoT, read by coordinates"
AGAIN, EXPANDED, ORACLE = "GCoT, other attempts", "GCoT, expanded", "true boxes, no slips"
EVERYWHERE = (ANSWERS, CHAINS, GCOT)
ARMS = (
    ANSWERS, TOKENS, CHAINS, TRUE_CHAINS, UNVERIFIED, OTHERS, GCOT, ONE_PASS, COORDINATES, AGAIN,
    EXPANDED, ORACLE,
)  # fmt: skip
UNTRAINED = (BASE, REASONED)
PLAIN = (BASE, ANSWERS, TOKENS)  # are asked without the words that ask for reasoning


def sort_of(arm: str) -> str:
    """Return the arm whose rate an arm learns with.

    >>> sort_of("boxes, unverified"), sort_of("chains without slips")
    ('GCoT', 'chains')
    """
    if arm in (ANSWERS, TOKENS):
        return ANSWERS
    return CHAINS if arm in (CHAINS, TRUE_CHAINS) else GCOT
