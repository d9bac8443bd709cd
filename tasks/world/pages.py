"""Draws pages of documents, and questions that exactly one of them answers.

A page is 256 x 288 pixels, 16 x 18 cells of the embedded model: blocks of the documents of
`tasks/world/documents.py` beside each other, lines of text, a title. Two sets are sparse (slides,
notes), two are dense (ledgers, reports), as blank cells fall into one cluster and make merging look
better than it is. A question names one to three facts of its page in words; no other page has them
all, which is proved from the facts. Near misses differ from a page in one block, the one that the
question's first fact stands in: how many there are is the dial of difficulty.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from tasks.records.boxes import Box
from tasks.records.images import to_png
from tasks.running.progress import track
from tasks.world import documents
from tasks.world.drawing import SPLITS, split_of
from tasks.world.lexicon import ITEMS, MONTHS, SIDE, TITLE_KINDS, TITLE_SUBJECTS, TRENDS
from tasks.world.pictures import Mark, Picture, character_marks, font

WIDTH, HEIGHT = 256, 288
SLOTS = tuple((x, y) for y in (0, SIDE, 2 * SIDE) for x in (0, SIDE))  # of blocks
SLOT_OF_LINES = 2 * SIDE  # pixels from the left: a column beside the blocks
LINE = 14  # pixels from one line to the next
BLOCKS = {
    "chart": documents.draw_chart, "table": documents.draw_table,
    "receipt": documents.draw_receipt, "report": documents.draw_report,
}  # fmt: skip
# of each set: kinds of blocks, how many there are, how many lines beside them and under them
SETS: dict[str, tuple[tuple[str, ...], tuple[int, int], tuple[int, int]]] = {
    "slides": (("chart", "report"), (2, 3), (2, 3)),
    "notes": (("receipt",), (1, 1), (8, 14)),
    "ledgers": (("table", "receipt"), (6, 6), (12, 18)),
    "reports": (("report", "chart", "table"), (6, 6), (12, 18)),
}
MOST_FACTS = 3
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Said:
    """A fact of a page: its words, and where they stand, in pixels."""

    words: str
    box: Corners
    part: int  # of the page that it belongs to


@dataclass(frozen=True)
class Part:
    """A block, a title or a line, and where it stands: all that is needed to draw it again."""

    kind: str
    seed: str
    at: tuple[int, int]


@dataclass(frozen=True)
class Drawn:
    """A page with its truth."""

    image: Image.Image
    parts: tuple[Part, ...]
    facts: tuple[Said, ...]
    marks: tuple[Mark, ...] = field(repr=False)

    @property
    def words(self) -> frozenset[str]:
        """What the page says."""
        return frozenset(fact.words for fact in self.facts)


@dataclass(frozen=True)
class Asked:
    """A page, a question about it, and its near misses."""

    id: str
    set: str
    split: str
    page: Drawn
    question: str
    facts: tuple[Said, ...]
    near: tuple[Drawn, ...]


def make_asked(seed: int, split: str, name: str, number: int, near: int) -> Asked:
    """Draw a page of a set with its question and near misses.

    >>> one = make_asked(0, "test", "slides", 0, 2)
    >>> one.page.image.size, len(one.near), {fact.words for fact in one.facts} <= one.page.words
    ((256, 288), 2, True)
    """
    rng = random.Random(f"pages/{seed}/{split}/{name}/{number}")
    while True:
        page = draw_page(layout(rng, name))
        if split_of(" | ".join(sorted(page.words))) == split:
            break
    count = min(rng.randint(1, MOST_FACTS), len(page.facts))
    facts = tuple(rng.sample(page.facts, count))
    misses = tuple(near_miss(rng, page, facts[0]) for _ in range(near))
    return Asked(f"{name}-{split}-{number}", name, split, page, put(rng, facts), facts, misses)


def draw_page(parts: Sequence[Part], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Drawn:
    """Draw the parts of a page; the same ones always make the same page."""
    level = random.Random(" ".join(part.seed for part in parts)).randint(236, 255)
    image = Image.new("RGB", size, (level, level, level))
    facts: list[Said] = []
    marks: list[Mark] = []
    for place, part in enumerate(parts):
        rng = random.Random(part.seed)
        if part.kind in BLOCKS:
            block = BLOCKS[part.kind](rng)
            image.paste(block.frames[0], part.at)
            facts += [Said(words, _moved(box, part.at), place) for words, box in _facts(block)]
            marks += [
                Mark(mark.labels, Box(*_moved(_exact(mark.box), part.at), frame=size))
                for mark in block.marks
            ]
        else:
            words, height = _line(rng, part.kind), 12 if part.kind == "title" else 10
            draw = ImageDraw.Draw(image)
            draw.text(part.at, words, font=font(height), fill=(20, 20, 20))
            box = tuple(map(float, draw.textbbox(part.at, words, font=font(height))))
            facts.append(Said(words, box, place))
            marks += character_marks(part.at[0], box[1], box[3], words, height)
    return Drawn(image, tuple(parts), tuple(facts), tuple(marks))


def alone(asked: Sequence[Asked]) -> list[Asked]:
    """Return those whose question no other page answers, near misses among them.

    A page that is left out is no page of the world any more; what it answers is proved with it.
    """
    pages = [page for one in asked for page in (one.page, *one.near)]
    by_word: dict[str, set[int]] = {}
    for place, page in enumerate(pages):
        for words in page.words:
            by_word.setdefault(words, set()).add(place)
    return [
        one for one in asked
        if len(set.intersection(*(by_word[fact.words] for fact in one.facts))) == 1
    ]  # fmt: skip


def write_page_world(folder: Path, seed: int, sizes: dict[str, int], near: int) -> int:
    """Write the sets in the layout of ViDoRe 2: pages, questions, and which answers which.

    Args:
        sizes: Questions of each set, by split.
        near: Near misses of each page.

    Returns:
        How many pages those are.
    """
    jobs = [
        (seed, split, name, number, near) for split in SPLITS for name in SETS
        for number in range(sizes[split])
    ]  # fmt: skip
    with ProcessPoolExecutor(2) as pool:
        drawn = list(track(pool.map(_make, jobs, chunksize=20), "drawing pages", len(jobs)))
    kept = alone(drawn)  # an index holds the pages of all splits
    return sum(
        _write(folder / split, [one for one in kept if one.split == split]) for split in SPLITS
    )


def _make(job: tuple[int, str, str, int, int]) -> Asked:
    return make_asked(*job)


def layout(rng: random.Random, name: str) -> list[Part]:
    """Return the parts of a page of a set."""
    kinds, blocks, lines = SETS[name]
    titled = name in ("slides", "notes")
    places = sorted(rng.sample(SLOTS[2:] if titled else SLOTS, rng.randint(*blocks)))
    parts = [Part(rng.choice(kinds), seed_of_part(rng), at) for at in places]
    if titled:
        parts.append(Part("title", seed_of_part(rng), (rng.randint(4, 90), rng.randint(6, 20))))
    free = _free(places, titled)
    for at in sorted(rng.sample(free, min(len(free), rng.randint(*lines)))):
        parts.append(Part("line" if titled else "words", seed_of_part(rng), at))
    return parts


def _free(places: Sequence[tuple[int, int]], titled: bool) -> list[tuple[int, int]]:
    """Return where lines may stand: in the column beside the blocks, or in rows without any."""
    if not titled:
        return [(SLOT_OF_LINES + 2, 4 + LINE * n) for n in range(HEIGHT // LINE - 1)]
    taken = {y // SIDE for _, y in places}
    starts = range(SIDE // 2, HEIGHT - LINE, LINE)  # below the title
    rows = [y for y in starts if not {y // SIDE, (y + LINE) // SIDE} & taken]
    return [(x, y) for x in (6, WIDTH // 2) for y in rows]


def seed_of_part(rng: random.Random) -> str:
    """Return what draws a part."""
    return f"{rng.getrandbits(64):x}"


def _line(rng: random.Random, kind: str) -> str:
    if kind == "title":
        return f"{rng.choice(TITLE_SUBJECTS)} {rng.choice(TITLE_KINDS)}"
    if kind == "line":
        return f"{rng.choice(ITEMS)} {rng.choice(TRENDS)} in {rng.choice(MONTHS)}"
    return f"{rng.choice(ITEMS)} {rng.randint(1, 99)}"  # a narrow column


def _facts(block: Picture) -> Iterator[tuple[str, Corners]]:
    for fact in block.facts:
        told = " ".join((*fact.keys, fact.text))
        yield told, _exact(fact.box)
    if block.kind == "report":
        for text in block.texts.values():
            yield text.text, _exact(text.box)


def near_miss(rng: random.Random, page: Drawn, fact: Said) -> Drawn:
    """Return the page with another part in place of the one that a fact stands in."""
    old = page.parts[fact.part]
    for _ in range(50):
        new = Part(old.kind, seed_of_part(rng), old.at)
        other = draw_page([new if part is old else part for part in page.parts], page.image.size)
        if fact.words not in other.words:
            return other
    return other


def put(rng: random.Random, facts: Sequence[Said]) -> str:
    """Return a question for the page that has some facts."""
    words = ", ".join(fact.words for fact in facts)
    return rng.choice((words, f"Which page says {words}?", f"Find {words}."))


def _exact(box: Box) -> Corners:
    return box.x0, box.y0, box.x1, box.y1


def _moved(box: Sequence[float], at: tuple[int, int]) -> Corners:
    x0, y0, x1, y1 = box
    return x0 + at[0], y0 + at[1], x1 + at[0], y1 + at[1]


def _write(folder: Path, some: Sequence[Asked]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    corpus, queries, qrels = [], [], []
    for one in some:
        misses = [f"{one.id}-near-{n}" for n in range(len(one.near))]
        for name, page in zip((one.id, *misses), (one.page, *one.near), strict=True):
            image = {"bytes": to_png(page.image), "path": f"{name}.png"}
            corpus.append({"corpus-id": name, "doc-id": one.id, "image": image})
        queries.append({"query-id": one.id, "query": one.question, "set": one.set,
                        "negatives": misses})  # fmt: skip
        boxes = [list(map(float, fact.box)) for fact in one.facts]
        qrels.append({"query-id": one.id, "corpus-id": one.id, "score": 1,
                      "bounding_boxes": boxes})  # fmt: skip
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return len(corpus)
