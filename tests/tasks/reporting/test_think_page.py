"""The page of a judge that thinks: traces as tables, what is odd about them, text as text."""

import json

import pytest

from tasks.asking.conversation import Answer
from tasks.judging.thinking import thought_of
from tasks.judging.traces import Row, write_trace
from tasks.reporting.think_page import signs, write_think_page
from tasks.world.thinking import make_pair
from tests.tasks.reporting.conftest import EVIL

START, THINKER = "start, bare", "thinker"


def item(winner="A", true=((7, 4), (10, 10)), ours=None, before=("A", "A"), evil=""):
    rows = [Row("Colors", (7, 4)), Row("Places", (10, 10))]
    texts = ours or [
        write_trace("image_generation", rows, "A"),
        write_trace("image_generation", [Row(r.name, r.scores[::-1]) for r in rows], "B"),
    ]
    said = []
    for place, text in enumerate(texts):
        said.append(thought_of(Answer(text, 1), "image_generation", bool(place)).winner or "")
    pair = make_pair(0, "test", "image_generation", 0)
    return {
        "id": "1", "task": "image_generation", "source": "s", "prompt": evil or "A ring",
        "images": [{"bytes": data} for data in pair.media], "responses": [], "winner": winner,
        "margin": 1,
        "true": json.dumps({name: scores for name, scores in
                            zip(("Colors", "Places"), true, strict=True)}),
        "ways": [
            {"way": START, "winners": list(before), "texts": ["", ""]},
            {"way": THINKER, "winners": said, "texts": texts},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (item(), []),
        (item(true=((4, 7), (10, 10))), ["reached_wrongly"]),
        (item(before=("A", "B")), ["won"]),
        (item(winner="B", before=("B", "B"), true=((4, 7), (10, 10))), ["lost"]),
        (item(ours=["no trace", "no trace"]), ["lost", "unreadable"]),
    ],
)
def test_what_is_odd_about_a_pair_has_a_name(given, expected):
    assert signs(given, THINKER, START) == expected


def test_a_verdict_against_its_totals_and_orders_that_disagree_are_seen():
    rows = [Row("Colors", (7, 4)), Row("Places", (10, 10))]
    texts = [write_trace("image_generation", rows, "B"), write_trace("image_generation", rows, "B")]
    assert signs(item(ours=texts), THINKER, START) == ["against", "lost", "orders"]


def test_the_page_draws_traces_and_no_text_is_markup(tmp_path, made):
    folders = {name: tmp_path / name for name in ("traces", "sampled", "thinker")}
    for folder in folders.values():
        folder.mkdir()
    read = {"read": 2, "kept": 2, "set_aside": {EVIL: 1}, "dropped": {EVIL: 1}, "fewer": {}}
    (folders["traces"] / "summary.json").write_text(json.dumps(read))
    sampled = {"by": {"task": {EVIL: [4, 2, 1]}}, "dropped": {"cut off": 1}, "fewer": {}}
    (folders["sampled"] / "summary.json").write_text(json.dumps(sampled))
    (folders["thinker"] / "history.json").write_text(json.dumps([{"train/reward": 1.0}] * 3))
    row = {"n": 1.0, "diff": 1.0, "swap": 1.0, "tokens": 60.0, "seconds": 0.1, "cells": 0.5}
    test = {"difference": 0.1, "low": 0.0, "high": 0.2, "p_value": 0.03, "p_adjusted": 0.04}
    sheet = {
        "measures": {START: {"image_generation": row}, THINKER: {"image_generation": row}},
        "comparisons": {THINKER: {"image_generation": test}}, "points": {START: {}}, "votes": 5,
    }  # fmt: skip
    write_think_page(
        tmp_path, sheet, [item(evil=EVIL), item(ours=[EVIL, EVIL])], folders=folders,
        root=tmp_path, made=made, traced=THINKER, start=START,
    )  # fmt: skip
    page = (tmp_path / "index.html").read_text()
    assert EVIL not in page and page.count('<article class="card pair"') == 2
    assert "10+7" in page or "7+10=17" in page
    assert "B shown first" in page and "right verdict from wrong scores" in page
    assert 'src="data:' in page  # pictures are inside
