"""Whether a model, shown a box, reads there what it was looking for."""

from tasks.rewards.values import same_value


def same_reading(readback: str, target: str) -> bool:
    """Compare what was read with its target: equal texts, or equal numbers.

    Specification of GCoT, section 4 (`verify_readback`), with the repairs of section 8, items 6, 9,
    11 and 12: the words before a first colon may introduce what was read, and all after it counts.

    >>> same_reading("The number is: 325.0", "325"), same_reading("12:30", "12:30")
    (True, True)
    >>> same_reading("a: b: c", "b"), same_reading("", "")
    (False, False)
    """
    _, colon, after = readback.partition(":")
    return same_value(readback, target) or bool(colon) and same_value(after, target)
