"""The truth of a drawn judgement, computed again from its words and from what is shown."""

import random
import re
from collections import Counter
from functools import cache

import pytest

from tasks.records.judgements import STYLES, TASKS, TIE, judgement_of
from tasks.records.rows import read_samples
from tasks.world.arranging import content, things_of
from tasks.world.drawing import SPLITS, split_of
from tasks.world.facts import STEADY
from tasks.world.judging import draft_judgement, make_judgement, write_judging_world
from tasks.world.wording import caption
from tests.tasks.world.test_facts import wrongs

SENTENCE = re.compile(r"A (\w+) (\w+) (?:(?:at|in) the ([a-z ]+)|moves (\w+)|stays (still))\.")
PARTS = {"colors": 0, "shapes": 1, "places": 2, "motions": 2}


@cache
def drafts(task: str, style: str, split: str = "train", number: int = 150):
    rng = random.Random(f"{task} {style} {split}")
    return [draft_judgement(rng, split, task, style) for _ in range(number)]


def told(text: str) -> list[tuple[str, ...]]:
    found = SENTENCE.findall(text)
    assert SENTENCE.sub("", text).strip() == "", text
    return [tuple(word for word in words if word) for words in found]


def faults(judgement, shown) -> list[int]:
    """Count the wrong facts of each candidate a second way."""
    things = [things_of(shapes) for shapes in shown]
    clips = judgement.task.startswith("video")
    if judgement.generated:
        wanted = [(*thing, STEADY) if clips else thing for thing in told(judgement.prompt)]
        return [min(wrongs(found, wanted).values()) for found in things]
    truth = [thing[:3] for thing in things[0]]
    asked = re.fullmatch(r"List the (\w+), separated by commas\.", judgement.prompt)
    if not asked:
        return [min(wrongs(told(text), truth).values()) for text in judgement.responses]
    values = [thing[PARTS[asked[1]]] for thing in truth]
    return [
        sum(a != b for a, b in zip(text.split(", "), values, strict=True))
        for text in judgement.responses
    ]


every = pytest.mark.parametrize(("task", "style"), [(t, s) for t in TASKS for s in STYLES])


@every
def test_the_faults_are_those_that_can_be_counted(task, style):
    for draft in drafts(task, style):
        judgement = draft.judgement
        assert judgement.details["faults"] == faults(judgement, draft.shown)
        assert (judgement.task, judgement.style) == (task, style)


@pytest.mark.parametrize("task", TASKS)
def test_the_winner_has_fewer_faults_and_ties_really_tie(task):
    margins, winners = Counter(), Counter()
    for draft in drafts(task, "pair"):
        first, second = faults(draft.judgement, draft.shown)
        winner = draft.judgement.winner
        assert winner == ("tie" if first == second else "A" if first < second else "B")
        margins[draft.judgement.margin] += 1
        winners[winner] += 1
    assert set(margins) == {0, 1, 2, 3} and 5 <= winners[TIE] <= 28, margins
    assert abs(winners["A"] - winners["B"]) < 45, "no side wins more often"


@pytest.mark.parametrize("task", TASKS)
def test_a_score_falls_by_three_with_each_fault(task):
    seen = {tuple(d.judgement.details["faults"]): d.judgement.score for d in drafts(task, "point")}
    assert seen == {(0,): 10.0, (1,): 7.0, (2,): 4.0, (3,): 1.0}


@every
@pytest.mark.parametrize("split", SPLITS)
def test_every_picture_of_an_item_hashes_into_its_split(task, style, split):
    for draft in drafts(task, style, split, 8):
        assert {split_of(content(shapes)) for shapes in draft.shown} == {split}
        drawn = task.endswith("generation")
        assert len(draft.shown) == (2 if drawn and style == "pair" else 1)


@every
def test_no_candidate_is_another_one_and_none_is_longer_by_its_form(task, style):
    for draft in drafts(task, style):
        texts, shown = draft.judgement.responses, list(map(content, draft.shown))
        assert len(set(texts)) == len(texts) and len(set(shown)) == len(shown)
        assert len({(text.count("."), text.count(",")) for text in texts}) <= 1


def test_a_caption_is_in_the_words_of_the_base():
    asked = [d for d in drafts("image_understanding", "point") if "List" not in d.judgement.prompt]
    right = [d for d in asked if d.judgement.details["faults"] == [0]]
    assert len(right) > 5
    for draft in right:
        assert draft.judgement.responses == (caption(draft.shown[0], size=False),)


@every
def test_an_item_depends_on_its_arguments_alone(task, style):
    one = make_judgement(3, "dev", task, style, 7)
    assert one == make_judgement(3, "dev", task, style, 7)
    assert one.media == make_judgement(3, "dev", task, style, 7).media
    others = [make_judgement(4, "dev", task, style, 7), make_judgement(3, "dev", task, style, 8)]
    assert all(other.media != one.media for other in others)
    frames = (3 if task.startswith("video") else 1) * len(one.details["shown"])
    assert len(one.media) == frames and (one.id, one.split) == (f"dev-{task}-{style}-7", "dev")


def test_the_data_set_holds_what_is_drawn(tmp_path):
    sizes = {"train": 2, "dev": 1, "test": 1}
    assert write_judging_world(tmp_path, 0, sizes) == 8 * 4
    read = read_samples(tmp_path, "train", ["video_generation_pair"])
    drawn = [make_judgement(0, "train", "video_generation", "pair", i) for i in range(2)]
    assert list(map(judgement_of, read)) == drawn
