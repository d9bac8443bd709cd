"""Draws the pages that one question found, and where each of them matched.

`python -m tasks.retrieval.search outputs/page_index "tea rose in May"` writes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.engine.whole import write_whole
from tasks.records.images import open_image, to_png
from tasks.reporting.page import environment
from tasks.reporting.pictures import embed
from tasks.reporting.retrieval_page import heat_picture


@dataclass(frozen=True)
class Look:
    """A page that was found.

    Attributes:
        thumbnail: A small picture of it, encoded.
        warm: How near each of its cells is to the question, [rows, columns]; None where nobody
            tells where the cells are.
    """

    page: str
    score: float
    thumbnail: bytes = field(repr=False)
    warm: np.ndarray | None = field(repr=False)


def write_found_page(file: Path, question: str, looks: Sequence[Look]) -> None:
    """Write the pages, the best first, each beside itself coloured by what matched."""
    shown = []
    for look in looks:
        picture, warm = embed(look.thumbnail), None
        if picture and look.warm is not None:
            warm = embed(to_png(heat_picture(open_image(look.thumbnail), look.warm, ())))
        shown.append((look, picture, warm))
    page = environment().get_template("found.html.j2").render(question=question, shown=shown)
    write_whole(file, page)
