"""Draws pages of documents, and questions that exactly one of them answers.

A page is 256 x 288 pixels, 16 x 18 cells of the embedded model: blocks of the documents of
`tasks/world/documents.py` beside each other, lines of text, a title. Two sets are sparse (slides,
notes), two are dense (ledgers, reports), as blank cells fall into one cluster and make merging look
better than it is. A question names one to three facts of its page in words; no other page has them
all, which is proved from the facts. Near misses differ from a page in one part, the one that the
question's first fact stands in, and have questions of their own: how many there are is the dial of
difficulty.
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
from tasks.world.document_questions import value_of
from tasks.world.drawing import SPLITS, split_of
from tasks.world.lexicon import ITEMS, MONTHS, SIDE, TITLE_KINDS, TITLE_SUBJECTS, TRENDS
from tasks.world.pictures import Mark, Picture, character_marks, font
from tasks.world.wording import Question

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
TRIES = 100  # at a near miss
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
    """A page with a question about it.

    Attributes:
        facts: Those that the question names; the first stands in the part that sets the page
            apart from its family.
        family: Ids of the pages that differ from it in one part: its near misses.
    """

    id: str
    set: str
    split: str
    page: Drawn
    question: str
    facts: tuple[Said, ...]
    family: tuple[str, ...]


def make_family(seed: int, split: str, name: str, number: int, near: int) -> list[Asked]:
    """Draw a page of a set and its near misses, each with a question of its own.

    >>> page, other = make_family(0, "test", "slides", 0, near=1)
    >>> page.page.image.size, page.family == (other.id,), page.facts[0].words in other.page.words
    ((256, 288), True, False)
    """
    rng = random.Random(f"pages/{seed}/{split}/{name}/{number}")
    while True:
        page = draw_page(layout(rng, name))
        if belongs(page, split) and (own := said_once(page)):
            part = rng.choice(own).part
            members = [page]
            while len(members) <= near and (other := near_miss(rng, members, part, split)):
                members.append(other)
            if len(members) > near:
                break
    ids = [f"{name}-{split}-{number}-{n}" for n in range(len(members))]
    found = []
    for n, page in enumerate(members):
        facts = _facts_to_ask(rng, page, [p for p in members if p is not page], part)
        family = tuple(other for other in ids if other != ids[n])
        found.append(Asked(ids[n], name, split, page, put(rng, facts), facts, family))
    return found


def said_once(page: Drawn) -> list[Said]:
    """Return the facts that one part of a page says alone: without it the page has them not."""
    parts: dict[str, set[int]] = {}
    for fact in page.facts:
        parts.setdefault(fact.words, set()).add(fact.part)
    return [fact for fact in page.facts if len(parts[fact.words]) == 1]


def belongs(page: Drawn, split: str) -> bool:
    """Return whether a page is of a split, which what it says decides."""
    return split_of(" | ".join(sorted(page.words))) == split


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
    """Return those whose question no other page answers.

    A page that is left out is no page of the world any more; what it answers is proved with it.
    """
    by_word: dict[str, set[int]] = {}
    for place, one in enumerate(asked):
        for words in one.page.words:
            by_word.setdefault(words, set()).add(place)
    return [
        one for one in asked
        if len(set.intersection(*(by_word[fact.words] for fact in one.facts))) == 1
    ]  # fmt: skip


def draw_sets(seed: int, sizes: dict[str, int], near: int) -> list[Asked]:
    """Draw the pages of all sets and splits, and leave out those that are not alone.

    Args:
        sizes: Pages of each set, by split.
        near: Near misses of each page.
    """
    jobs = [
        (seed, split, name, number, near) for split in sizes for name in SETS
        for number in range(-(-sizes[split] // (1 + near)))
    ]  # fmt: skip
    with ProcessPoolExecutor(2) as pool:
        made = pool.map(_make, jobs, chunksize=20)
        families = list(track(made, "drawing pages", len(jobs)))
    return alone([one for family in families for one in family])  # an index holds all splits


def write_page_world(folder: Path, seed: int, sizes: dict[str, int], near: int) -> int:
    """Write the sets in the layout of ViDoRe 2: pages, questions, and which answers which.

    Args:
        sizes, near: As in `draw_sets`.

    Returns:
        How many pages those are.
    """
    kept = draw_sets(seed, sizes, near)
    return sum(_write(folder / s, [one for one in kept if one.split == s]) for s in SPLITS)


def _make(job: tuple[int, str, str, int, int]) -> list[Asked]:
    return make_family(*job)


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


def near_miss(
    rng: random.Random, family: Sequence[Drawn], part: int, split: str = ""
) -> Drawn | None:
    """Return a page that differs from the first of its family in one part.

    Args:
        family: So far; the new page has a fact in that part that none of them has, and each of
            them one that it has not.
        part: One that says something alone (`said_once`).
        split: Of the page, if it matters.

    Returns:
        None if none is found: there are few titles, of which none need be of a split.
    """
    first = family[0]
    old = first.parts[part]
    for _ in range(TRIES):
        new = Part(old.kind, seed_of_part(rng), old.at)
        parts = [new if one is old else one for one in first.parts]
        page = draw_page(parts, first.image.size)
        apart = all(_own(page, [p], part) and _own(p, [page], part) for p in family)
        if apart and _own(page, family, part) and (not split or belongs(page, split)):
            return page
    return None


def _own(page: Drawn, others: Sequence[Drawn], part: int) -> list[Said]:
    """Return the facts of a part that other pages have not."""
    return [
        fact for fact in page.facts
        if fact.part == part and not any(fact.words in other.words for other in others)
    ]  # fmt: skip


def _facts_to_ask(
    rng: random.Random, page: Drawn, others: Sequence[Drawn], part: int
) -> tuple[Said, ...]:
    """Return one to three facts, the first of which none of the others has."""
    own = _own(page, others, part) or [fact for fact in page.facts if fact.part == part]
    first = rng.choice(own)
    more = [fact for fact in page.facts if fact != first]
    return first, *rng.sample(more, min(rng.randint(1, MOST_FACTS) - 1, len(more)))


def put(rng: random.Random, facts: Sequence[Said]) -> str:
    """Return a question for the page that has some facts."""
    words = ", ".join(fact.words for fact in facts)
    return rng.choice((words, f"Which page says {words}?", f"Find {words}."))


def value_asked(page: Drawn, fact: Said) -> Question | None:
    """Return the question for a fact's value, as the base knows it; None of lines and titles."""
    part = page.parts[fact.part]
    if part.kind not in BLOCKS:
        return None
    block = BLOCKS[part.kind](random.Random(part.seed))
    found = [one for one in block.facts if " ".join((*one.keys, one.text)) == fact.words]
    return value_of(block, found[0]) if found else None


def _exact(box: Box) -> Corners:
    return box.x0, box.y0, box.x1, box.y1


def _moved(box: Sequence[float], at: tuple[int, int]) -> Corners:
    x0, y0, x1, y1 = box
    return x0 + at[0], y0 + at[1], x1 + at[0], y1 + at[1]


def _write(folder: Path, some: Sequence[Asked]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    corpus, queries, qrels = [], [], []
    there = {one.id for one in some}
    for one in some:
        image = {"bytes": to_png(one.page.image), "path": f"{one.id}.png"}
        corpus.append({"corpus-id": one.id, "doc-id": one.id, "image": image})
        near = [other for other in one.family if other in there]
        queries.append({"query-id": one.id, "query": one.question, "set": one.set,
                        "negatives": near})  # fmt: skip
        boxes = [list(fact.box) for fact in one.facts]
        qrels.append({"query-id": one.id, "corpus-id": one.id, "score": 1,
                      "bounding_boxes": boxes})  # fmt: skip
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return len(corpus)
