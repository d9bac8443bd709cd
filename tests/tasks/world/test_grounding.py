"""The documents that GCoT adapts to and the school before it: true boxes, nothing in common."""

import random

import numpy as np
import pytest

from tasks.rewards.values import number_in
from tasks.world.drawing import SPLITS, split_of
from tasks.world.grounding import (
    ASKED,
    DERIVED,
    SIZES,
    USED,
    draw_page,
    make_sample,
    worked,
    worked_samples,
)
from tasks.world.layouts import FAMILIES, SCHOOL
from tasks.world.questions import ask

PAGES = SCHOOL | FAMILIES


@pytest.mark.parametrize("kind", PAGES)
def test_every_text_stands_in_its_box(kind):
    """There is ink in every box, and the box is within the page."""
    for seed in range(40):
        page = PAGES[kind](random.Random(seed))
        pixels = np.asarray(page.frames[0]).astype(int)
        if kind == "school crop":
            assert len(page.facts) == 1 and np.ptp(pixels.sum(2)) > 100
            continue
        assert page.everything
        for fact in page.everything:
            assert fact.box.valid, (fact, seed)
            x0, y0, x1, y1 = (round(v) for v in fact.box.corners())
            assert pixels[y0:y1, x0:x1].max(2).min() < 150, (fact, seed)  # dark letters


@pytest.mark.parametrize("family", FAMILIES)
def test_values_have_labels_and_labels_are_written_once(family):
    for seed in range(40):
        page = FAMILIES[family](random.Random(seed))
        assert all(key in page.labels for fact in page.facts for key in fact.keys)
        names = [" ".join(fact.keys) for fact in page.facts]
        assert len(set(names)) == len(names)
        boxes = [fact.box for fact in page.everything]
        assert len(set(boxes)) == len(boxes)


def test_no_page_of_a_family_is_in_the_school():
    kinds = {SCHOOL[kind](random.Random(seed)).kind for kind in SCHOOL for seed in range(20)}
    assert kinds == {"scattered", "chart", "table", "receipt", "pairs", "crop"}
    assert not kinds & {FAMILIES[family](random.Random(0)).kind for family in FAMILIES}
    assert {family.replace(" ", "_") for family in FAMILIES} >= set(USED)


def test_the_school_asks_nothing_derived_of_a_picture():
    """Its calculations have their numbers in the question; its other answers are on the page."""
    for kind in ASKED:
        for seed in range(30):
            rng = random.Random(seed)
            page = draw_page(rng, kind)
            assert split_of(page.content) == "train"
            for question in ask(rng, page, 6, ASKED[kind]):
                if question.task == "worked":
                    numbers = [w.strip(".,") for w in question.prompt.split()]
                    assert sum(number_in(word) is not None for word in numbers) == 2
                else:
                    assert not any(word in question.prompt for word in ("difference", "sum of"))


def test_calculations_are_right():
    kinds = set()
    for seed in range(300):
        question = worked(random.Random(seed))
        first, second = (int(w.strip(".,")) for w in question.prompt.split() if w[0].isdigit())
        names = [question.prompt.split()[0], question.prompt.split(", ")[1].split()[0]]
        kind = question.prompt.split(". ")[1]
        true = {
            "Subtract them.": str(abs(first - second)), "Add them.": str(first + second),
            "Whose is larger?": names[first < second],
        }[kind]  # fmt: skip
        assert question.final == true and f"<answer>{true}</answer>" in question.answer
        kinds.add(kind)
    assert len(kinds) == len(DERIVED)


@pytest.mark.parametrize("kind", SIZES)
def test_questions_about_a_family_are_true_and_of_their_split(kind):
    for family in FAMILIES:
        for split in SPLITS:
            sample = make_sample(0, split, family, kind, 1)
            texts = [text for text, _ in sample.details["texts"]]
            assert sample == make_sample(0, split, family, kind, 1)
            if kind in DERIVED:
                (a, x), (b, y) = sample.details["facts"]
                assert a in sample.prompt and b in sample.prompt and {x, y} <= set(texts)
                true = {"difference": str(abs(int(x) - int(y))), "sum": str(int(x) + int(y)),
                        "more": a if int(x) > int(y) else b}[kind]  # fmt: skip
                assert sample.answer == true
                assert sample.details["cot"].endswith(f"<answer>{true}</answer>")
            elif kind == "locate":
                assert texts.count(sample.label) == 1 and len(sample.corners) == 1
            else:
                assert sample.answer in texts


def test_calculations_stand_beside_pictures_and_without():
    pages = [make_sample(0, "dev", "tiles", "value", n) for n in range(3)]
    samples = worked_samples(random.Random(0), 5, pages)
    assert [bool(s.images) for s in samples] == [False, True] * 5
    assert {s.task for s in samples} == {"worked", "worked_beside"}
