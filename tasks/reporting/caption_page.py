"""Draws why each sentence of a caption stayed, what was asked, and the caption of every budget.

Run it with `python -m flows.caption` and open `outputs/caption_page/index.html`.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.records.rows import read_rows, read_summary, sample_of
from tasks.reporting.lineage import costs
from tasks.reporting.made import Made
from tasks.reporting.page import environment, examples_of_rejected
from tasks.reporting.pictures import Picture, embed
from tasks.rewards.objects import Named, known_objects
from tasks.synthesis.captioning.budgets import named

SHOWN = 48
OBJECTS = (
    ("chair_i", "objects named that are not there"), ("chair_s", "captions with one"),
    ("recall", "named of what is there"),
)  # fmt: skip
COUNTED = ("drafts", "objects", "captions", "caption_answers")  # stages whose cost is told
MEASURES = (
    ("words", "words"), ("calls", "requests"), ("adding", "add something"),
    ("fell_back", "fell back"),
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A picture with its draft, what was asked about it, and its captions.

    Attributes:
        parts: The draft in order: text, and the sentence that it is, or None between them.
        captions: By budget.
        answers: Questions that were answered from its captions, with every arm's answer.
    """

    id: str
    picture: Picture | None
    parts: list[tuple[str, dict[str, Any] | None]]
    requests: list[dict[str, Any]]
    captions: list[dict[str, Any]]
    answers: dict[str, list[dict[str, Any]]]
    signs: list[str]


def write_caption_page(
    out: Path, *, drafts: Path, objects: Path, captions: Path, answers: Path, root: Path,
    made: Made,
) -> None:  # fmt: skip
    """Write `index.html`.

    Args:
        drafts, objects, captions, answers: Finished folders of these stages.
        root: The checkout, which knows what the stages cost.
        made: What was run.
    """
    spent, total = costs(root, COUNTED)
    shown = pictures_shown(drafts, objects, captions, answers)
    html = (
        environment()
        .get_template("caption.html.j2")
        .render(
            made=made, costs=spent, total=total, shown=shown, measures=MEASURES,
            budgets=list(dict.fromkeys(named(row["budget"]) for row in read_rows(captions))),
            metrics=read_summary(captions)["budgets"],
            table=json.loads((answers / "table.json").read_text()),
            objects=json.loads((answers / "objects.json").read_text()), chair=OBJECTS,
            read=read_summary(drafts), asked=read_summary(objects),
            rejected=examples_of_rejected(drafts),
        )
    )  # fmt: skip
    (out / "index.html").write_text(html, encoding="utf-8")


def pictures_shown(drafts: Path, objects: Path, captions: Path, answers: Path) -> list[Shown]:
    """Return pictures with all that was said about them, those first in which something changed."""
    asked = {row["id"]: row["requests"] or [] for row in read_rows(objects)}
    written: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_rows(captions):
        written[row["id"]].append(row | {"name": named(row["budget"])})
    questions = {row["id"]: row for row in read_rows(drafts / "questions")}
    known = {row["label"]: known_objects(sample_of(row).details) for row in questions.values()}
    answered: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(answers):
        prompt = str(questions[row["id"]]["prompt"])
        answered[row["picture"]][prompt].append(row)
    found = []
    for row in read_rows(drafts):
        name = row["id"]
        sentences = row["sentences"] or []
        signs = ["dropped"] if any(not s["kept"] for s in sentences) else []
        signs += ["whole"] if row["whole"] else []
        signs += ["asked"] if asked.get(name) else []
        signs += ["adds"] if any(one["added"] for one in written[name]) else []
        if objects := known.get(name):
            signs += signs_of(sentences, *objects)
        found.append(
            Shown(
                name, embed(row["images"][0]["bytes"]), parts_of(row["draft"], sentences),
                asked.get(name, []), written[name], dict(answered.get(name, {})), signs,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: -len(one.signs))[:SHOWN]


def signs_of(sentences: list[dict[str, Any]], there: list[str], names: dict[str, str]) -> list[str]:
    """Note what each sentence names that is not there, and return where rating went wrong.

    >>> signs_of([{"text": "A cat", "kept": True}], ["dog"], {"cat": "cat", "dog": "dog"})
    ['false']

    Returns:
        "false" where a sentence was kept that names what is not there; "true" where one was dropped
        that names only what is.
    """
    signs = set()
    for sentence in sentences:
        named_in = Named.of(sentence["text"], there, names)
        sentence["absent"] = list(dict.fromkeys(named_in.absent))
        if sentence["kept"] and sentence["absent"]:
            signs.add("false")
        if not sentence["kept"] and named_in.mentions and not sentence["absent"]:
            signs.add("true")
    return sorted(signs)


def parts_of(
    draft: str, sentences: list[dict[str, Any]]
) -> list[tuple[str, dict[str, Any] | None]]:
    """Return a draft in order, each sentence with its score, and what stands between them.

    >>> parts_of("A. B", [{"start": 0, "end": 2}])
    [('A.', {'start': 0, 'end': 2}), (' B', None)]
    """
    found: list[tuple[str, dict[str, Any] | None]] = []
    place = 0
    for sentence in sentences:
        if draft[place : sentence["start"]]:
            found.append((draft[place : sentence["start"]], None))
        found.append((draft[sentence["start"] : sentence["end"]], sentence))
        place = sentence["end"]
    return found + ([(draft[place:], None)] if draft[place:] else [])
