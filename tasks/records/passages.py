"""Passages of a corpus of texts, which search tools find.

>>> Passage("12", "Blue triangle", "The blue triangle is made in town 12.").title
'Blue triangle'
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that is found as a whole.

    Attributes:
        id: Its name in its corpus.
        title: Of the document that it is from; "" where it has none.
    """

    id: str
    title: str
    text: str
