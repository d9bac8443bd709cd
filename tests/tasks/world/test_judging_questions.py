"""What the phase `judge_start` teaches is true, and what it says of candidates tells nothing."""

import random
import re
from collections import Counter

import pytest

from tasks.judging.verdicts import pair_winner, point_score
from tasks.records.judgements import STYLES, TASKS
from tasks.world import judging_questions as asking
from tasks.world.arranging import content, things_of
from tasks.world.drawing import split_of
from tasks.world.judging import TELL_VIDEO, draft_judgement
from tests.tasks.world.test_facts import wrongs
from tests.tasks.world.test_judging import PARTS, told

KINDS = [("scene", 1), ("scene", 2), ("clip", 1), ("clip", 2)]
every = pytest.mark.parametrize(("kind", "number"), KINDS)


def asked(maker, kind: str, number: int, times: int = 60):
    """Ask about what is drawn; yields the shapes that each question is about, words and answer."""
    rng, found = random.Random(f"{kind} {number}"), 0
    for _ in range(times):
        shown = asking.draw_shown(rng, kind, number, "train")
        if question := maker(rng, shown):
            which = re.search(r"(?:in|Describe) (?:Image|Video) ([12])[?.]$", question.prompt)
            assert bool(which) == (number == 2)
            picture = shown.pictures[int(which[1]) - 1 if which else 0]
            found += 1
            yield picture.shapes, question.prompt, question.answer
    assert found > times / 3


@every
def test_so_many_facts_of_a_caption_are_right(kind, number):
    answers = Counter()
    for shapes, words, answer in asked(asking.count_right, kind, number, 150):
        caption, sort = re.search(r"Caption: (.+)\nHow many (\w+) of the", words).groups()
        said, truth = told(caption), [thing[:3] for thing in things_of(shapes)]
        ways = wrongs(said, truth)
        order, part = min(ways, key=ways.get), PARTS[sort]
        values, right = answer.split(": ")
        assert values.split(", ") == [truth[i][part] for i in order]
        assert int(right) == sum(
            a[part] == truth[i][part] for a, i in zip(said, order, strict=True)
        )
        answers[right] += 1
    assert {"1", "2", "3"} <= set(answers) <= {"0", "1", "2", "3"}
    assert max(answers.values()) < 0.6 * sum(answers.values())


@every
def test_attributes_are_those_of_the_picture_that_is_named(kind, number):
    for shapes, words, answer in asked(asking.attribute, kind, number):
        named = re.search(r"the (\w+)(?: object)?(?: small or large)?(?: in \w+ \d)?\?$", words)[1]
        [item] = [s for s in shapes if named in (s.shape, s.color)]
        assert answer in (item.color, item.shape, item.size, item.cell)


@every
def test_descriptions_tell_what_is_there(kind, number):
    for shapes, _, answer in asked(asking.describe, kind, number):
        assert told(answer) == [thing[:3] for thing in things_of(shapes)]


@pytest.mark.parametrize("number", [1, 2])
def test_motion_ends_and_flashes_are_true(number):
    for maker in (asking.motion, asking.end, asking.changes):
        for shapes, words, answer in asked(maker, "clip", number):
            name = re.search(r"the (\w+ \w+) (?:move|first|last|change)", words)[1]
            items = [s for s in shapes if s.name == name]
            truths = {
                asking.motion: [s.motion for s in items],
                asking.end: [s.cell if f"{name} first" in words else s.last.cell for s in items],
                asking.changes: ["yes" if s.flash else "no" for s in items],
            }
            assert answer in truths[maker]


@pytest.mark.parametrize(("task", "style"), [(t, s) for t in TASKS for s in STYLES])
def test_careless_verdicts_do_not_depend_on_the_truth(task, style):
    rng, said = random.Random(0), Counter()
    drafts = [draft_judgement(rng, "train", task, style) for _ in range(40)]
    for draft in drafts:
        for _ in range(20):
            text = asking.careless_verdict(rng, draft.judgement)
            if style == "pair":
                said[pair_winner(text, task)] += 1
            else:
                said[point_score(text, 1, 10)] += 1
    total = sum(said.values())
    if style == "pair":  # more often the first, and sometimes nothing that can be read
        assert said["A"] > 1.5 * said["B"] > 0 and 0.25 < said[None] / total < 0.45
    else:
        assert said[7.0] + said[8.0] > 0.6 * total and said[None] > 0


def test_the_usual_verdict_is_a_sentence_about_the_first_candidate():
    rng = random.Random(1)
    [draft] = [draft_judgement(rng, "train", "image_generation", "pair")]
    said = Counter(asking.careless_verdict(rng, draft.judgement) for _ in range(500))
    assert said.most_common(1)[0][0] == "Image 1 is better than Image 2"


def test_what_is_seen_in_a_video_is_often_told_in_part():
    rng, sentences = random.Random(2), Counter()
    for _ in range(200):
        shown = asking.draw_shown(rng, "clip", 1, "train")
        question = asking.tell(rng, shown)
        assert question.prompt == TELL_VIDEO
        sentences[question.answer.count(".")] += 1
    assert sentences.most_common(1)[0][0] == 2


@pytest.mark.parametrize("row", asking.ROWS)
def test_a_row_asks_many_things_about_training_pictures(row):
    rng, prompts = random.Random(row), []
    for _ in range(20):
        questions, pictures = asking.draw_row(rng, row)
        assert {split_of(picture.content) for picture in pictures} == {"train"}
        prompts += [question.prompt for question in questions]
        assert len({question.prompt for question in questions}) == len(questions) > 3
    verdicts = sum("better" in prompt or "How good" in prompt or "How well" in prompt
                   for prompt in prompts)  # fmt: skip
    assert 0.05 < verdicts / len(prompts) < 0.7


@pytest.mark.parametrize("skill", asking.SKILLS)
def test_a_skill_is_measured_on_pictures_of_its_split(skill):
    one = asking.skill_sample(0, "dev", skill, 1)
    assert one == asking.skill_sample(0, "dev", skill, 1)
    kind, numbers, _ = asking.SKILLS[skill]
    assert len(one.images) == numbers[-1] * (1 if kind == "scene" else 3)
    assert one.metric == "exact" and one.answer
    shown = asking.draw_shown(random.Random(f"skill/0/dev/{skill}/1"), kind, numbers[-1], "dev")
    assert {split_of(content(picture.shapes)) for picture in shown.pictures} == {"dev"}
