"""Draws what questions found: the best pages of each, and where the right one matched.

Run it with `python -m flows.retrieve` and open `outputs/retrieval_page/index.html`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from tasks.records.images import open_image, to_png
from tasks.records.pages import read_pages
from tasks.records.rows import read_summary
from tasks.reporting.curves import curves
from tasks.reporting.lineage import costs
from tasks.reporting.made import Made
from tasks.reporting.page import environment, examples_of_rejected
from tasks.reporting.pictures import Picture, embed

COUNTED = ("pages", "retriever", "page_index", "retrieval")  # stages whose cost is told
MEASURES = (("ndcg@5", "nDCG@5"), ("recall@1", "first"), ("recall@5", "among five"))
ITEMS = 40  # questions shown
SIDE = 320  # pixels of a page's longer side


@dataclass(frozen=True)
class Hit:
    """A page that was found."""

    page: str
    score: float
    right: bool
    picture: Picture | None


@dataclass(frozen=True)
class Way:
    """What one index found: merged vectors, or all of them.

    Attributes:
        warm: The right page, coloured by how near each cell is to the question; None where
            nobody tells where the cells are.
        areas: The right page, its clusters as coloured areas.
    """

    name: str
    ndcg: float
    hits: list[Hit]
    warm: Picture | None
    areas: Picture | None


@dataclass(frozen=True)
class Shown:
    """A question with what was found."""

    item: dict[str, Any]
    ways: list[Way]
    signs: list[str]


def write_retrieval_page(
    out: Path,
    *,
    table: dict[str, Any],
    items: Sequence[dict[str, Any]],
    pages: Path,
    retriever: Path,
    root: Path,
    made: Made,
) -> None:
    """Write `index.html`.

    Args:
        table, items: Of the stage `retrieval`.
        pages, retriever: Finished folders of these stages.
        root: The checkout, which knows what the stages cost.
        made: What was run.
    """
    spent, total = costs(root, COUNTED)
    history = retriever / "history.json"
    indexes = [name for name in ("merged", "unmerged") if name in table]
    html = (
        environment()
        .get_template("retrieval.html.j2")
        .render(
            made=made,
            costs=spent,
            total=total,
            table=table,
            indexes=indexes,
            measures=MEASURES,
            items=shown(items, pages, indexes),
            curves=curves("retriever", json.loads(history.read_text())) if history.exists() else [],
            read=read_summary(pages),
            rejected=examples_of_rejected(pages),
        )
    )
    (out / "index.html").write_text(html, encoding="utf-8")


def shown(items: Sequence[dict[str, Any]], pages: Path, indexes: Sequence[str]) -> list[Shown]:
    """Return questions with their pages, those first that are not found."""
    chosen = sorted(items, key=lambda item: item["merged"]["measures"]["ndcg@5"])[:ITEMS]
    named = {hit["page"] for item in chosen for name in indexes for hit in item[name]["best"]}
    named |= {item["right"] for item in chosen}
    pictures = {
        page.id: open_image(page.image) for page in read_pages(pages / "pages") if page.id in named
    }
    small = {name: embed(to_png(_small(picture))) for name, picture in pictures.items()}
    return [
        Shown(item, [_way(name, item, pictures, small) for name in indexes], signs(item))
        for item in chosen
    ]


def signs(item: dict[str, Any]) -> list[str]:
    """Return what merging did to a question.

    >>> signs({"merged": {"measures": {"recall@1": 0.0, "recall@5": 0.0}},
    ...        "unmerged": {"measures": {"recall@1": 1.0, "recall@5": 1.0}}})
    ['missed', 'lost']
    """
    merged = item["merged"]["measures"]
    found = ["missed"] if not merged["recall@5"] else []
    found += ["first"] if merged["recall@1"] else []
    if "unmerged" in item:
        whole = item["unmerged"]["measures"]
        if merged["recall@1"] < whole["recall@1"]:
            found.append("lost")
        elif merged["recall@1"] > whole["recall@1"]:
            found.append("gained")
        elif not merged["recall@1"]:
            found.append("both")
    return found


def heat_picture(
    page: Image.Image, warm: np.ndarray, boxes: Sequence[Sequence[float]]
) -> Image.Image:
    """Return a page coloured by how near each of its cells is to a question, its answer framed."""
    spread = float(np.ptp(warm)) or 1.0
    colors = matplotlib.colormaps["turbo"]((warm - warm.min()) / spread)[..., :3]
    layer = Image.fromarray((255 * colors).astype(np.uint8)).resize(
        page.size, Image.Resampling.BILINEAR
    )
    mixed = Image.blend(page.convert("RGB"), layer, 0.4)
    draw = ImageDraw.Draw(mixed)
    for box in boxes:
        draw.rectangle([float(v) for v in box], outline=(255, 255, 255), width=2)
    return mixed


def area_picture(page: Image.Image, groups: np.ndarray) -> Image.Image:
    """Return a page whose cells have the colour of their group."""
    # neighbouring numbers get far-away colours
    hues = (groups * 0.61803398875) % 1.0
    colors = matplotlib.colormaps["hsv"](hues)[..., :3]
    layer = Image.fromarray((255 * colors).astype(np.uint8)).resize(
        page.size, Image.Resampling.NEAREST
    )
    return Image.blend(page.convert("RGB"), layer, 0.35)


def _way(
    name: str, item: dict[str, Any], pictures: dict[str, Image.Image],
    small: dict[str, Picture | None],
) -> Way:  # fmt: skip
    found, right = item[name], item["right"]
    hits = [
        Hit(hit["page"], hit["score"], hit["page"] in item["relevant"], small.get(hit["page"]))
        for hit in found["best"]
    ]
    page = pictures[right]
    warm = areas = None
    if found["warm"]:
        warm = embed(to_png(_small(heat_picture(page, np.array(found["warm"]), item["boxes"]))))
    if found["warm"] and name == "merged":
        groups = np.array(found["groups"]).reshape(found["grid"])
        areas = embed(to_png(_small(area_picture(page, groups))))
    return Way(name, found["measures"]["ndcg@5"], hits, warm, areas)


def _small(picture: Image.Image) -> Image.Image:
    copy = picture.convert("RGB")
    copy.thumbnail((SIDE, SIDE))
    return copy
