"""Which of a prompt's candidates is truly better: for measuring a judge, never for asking it."""

from tasks.judging.candidates import Candidates
from tasks.rewards.captions import described_better


def truly_better(group: Candidates, first: int, second: int) -> bool | None:
    """Return whether the first of two answers is closer to the reference; None without one.

    >>> truly_better(Candidates("1", "?", ("A ring.", "A red star."), reference="A star."), 0, 1)
    False
    """
    return described_better(str(group.items[first]), str(group.items[second]), group.reference)
