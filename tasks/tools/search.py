"""What every search tool is: a query in, the best hits out.

    tool.search("Where is the blue triangle made?", 2) is
    [Hit("12", "Blue triangle", "The blue triangle is made in town 12.", score=7.1),
     Hit("40", "Red triangle", "The red triangle is made in town 3.", score=2.4)]

Passages of a corpus (`passages.py`), the web (`web.py`) and pages as pictures (`search_pages.py`)
are searched alike. What comes back was written by others: it goes into a conversation as
`observation` of `tasks/tools/defusing.py` tells it, never as it is.
"""

from dataclasses import dataclass, field
from typing import Protocol

from tasks.running.texts import is_unicode

LONGEST = 2000  # characters; what is longer is no query but a model that does not stop


@dataclass(frozen=True)
class Hit:
    """What was found.

    Attributes:
        id: Its name: of a passage or a page, or an address.
        pictures: Encoded.
        score: Comparable within one answer of one tool, not across tools.
    """

    id: str
    title: str
    text: str
    pictures: tuple[bytes, ...] = field(default=(), repr=False)
    score: float = 0.0


class SearchTool(Protocol):
    """Whatever finds something.

    A query that finds nothing, that is no query (`is_query`), or that a server does not answer has
    no hits; it never raises. What the user can put right is a `UserError`.
    """

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most `k` hits, the best first; the same query has the same hits."""
        ...


def is_query(query: str) -> bool:
    r"""Return whether there is something to look for.

    >>> is_query("blue triangle"), is_query("  "), is_query("a" * 3000), is_query("\ud800")
    (True, False, False, False)
    """
    return 0 < len(query.strip()) <= LONGEST and is_unicode(query)
