"""Every answer is true: each is worked out a second time from the prompt and the picture."""

import json
import random
import re
from collections import Counter

import pytest

from tasks.records.boxes import Box, iou
from tasks.world import questions
from tasks.world.lexicon import CELLS, COLORS, SHAPES, SIZES
from tasks.world.pictures import PIXELS
from tasks.world.wording import corners, detections
from tests.tasks.world.drawn import (
    DOCUMENTS,
    asked,
    drawn,
    faults,
    matches,
    shown,
    told,
    truth,
    words,
)


def test_a_box_written_and_read_is_off_by_less_than_a_pixel():
    rng = random.Random(0)
    for _ in range(1000):
        (x0, x1), (y0, y1) = (sorted(rng.sample(range(97), 2)) for _ in range(2))
        box = Box(x0, y0, x1, y1, PIXELS)
        back = shown(corners(box))
        errors = [
            a - b
            for a, b in zip((back.x0, back.y0, back.x1, back.y1), (x0, y0, x1, y1), strict=True)
        ]
        assert max(map(abs, errors)) < 1, (box, back)


def test_the_boxes_of_scenes_survive_being_written():
    for scene in drawn("scene")[:100]:
        for item in scene.shapes:
            assert iou(item.box, shown(corners(item.box))) > 0.85


def test_a_detection_list_is_json_with_one_entry_per_box():
    boxes = [Box(0, 0, 48, 48, PIXELS), Box(48, 48, 96, 96, PIXELS)]
    assert json.loads(detections(boxes, ["a", "b"], [0.2, 0.3])) == [
        {"bbox_2d": [0, 0, 50, 50], "label": "a", "confidence": 0.2},
        {"bbox_2d": [50, 50, 99, 99], "label": "b", "confidence": 0.3},
    ]
    assert detections([], "a") == "[]"


# ---- scenes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", [questions.count, questions.count_sizes])
def test_counts_are_true(maker):
    for scene, question in asked(maker):
        (things,) = words(r"How many (.+) are there\?", question.prompt)
        assert int(question.answer) == sum(matches(item, things) for item in scene.shapes)


def test_existence_is_true():
    for scene, question in asked(questions.exists):
        (thing,) = words(r"Is there a (\w+ \w+)\?", question.prompt)
        assert question.answer == ("yes" if any(matches(s, thing) for s in scene.shapes) else "no")


def test_attributes_are_true_and_the_question_has_one_answer():
    kinds = {
        r"What color is the (\w+)\?": "color",
        r"What shape is the (\w+ object)\?": "shape",
        r"Is the (\w+) small or large\?": "size",
        r"Where is the (\w+)\?": "cell",
    }
    seen = Counter()
    for scene, question in asked(questions.attribute):
        (pattern,) = (p for p in kinds if re.fullmatch(p, question.prompt))
        (thing,) = words(pattern, question.prompt)
        (item,) = (s for s in scene.shapes if matches(s, thing.replace("object", "objects")))
        assert question.answer == getattr(item, kinds[pattern])
        seen[kinds[pattern]] += 1
    assert len(seen) == 4


def test_relations_are_true():
    seen = Counter()
    for scene, question in asked(questions.relation):
        first, word, second = words(
            r"Is the (\w+ \w+) (left of|right of|above|below) the (\w+ \w+)\?", question.prompt
        )
        (a,) = (s for s in scene.shapes if matches(s, first))
        (b,) = (s for s in scene.shapes if matches(s, second))
        true = {
            "left of": a.x < b.x, "right of": a.x > b.x, "above": a.y < b.y, "below": a.y > b.y,
        }[word]  # fmt: skip
        assert question.answer == ("yes" if true else "no")
        seen[word] += 1
    assert len(seen) == 4


def test_regions_name_what_is_in_the_box():
    for scene, question in asked(questions.region):
        (box,) = words(r"What is in the box (\[.+\])\?", question.prompt)
        item = max(scene.shapes, key=lambda s: iou(s.box, shown(box)))
        assert question.answer == f"{item.size} {item.color} {item.shape}"


@pytest.mark.parametrize(
    ("maker", "pattern"),
    [
        (questions.detect, r"Detect every (\w+)\."),
        (questions.detect_all, r"Detect all (objects)\."),
        (questions.find, r"Find every (\w+ \w+)\."),
    ],
)
def test_detections_are_complete_and_right(maker, pattern):
    for scene, question in asked(maker):
        (things,) = words(pattern, question.prompt)
        wanted = [s for s in scene.shapes if matches(s, things)]
        listed = json.loads(re.search(r"\[.*\]", question.answer)[0])
        assert len(listed) == len(wanted) == len(question.boxes)
        for entry, item, box in zip(listed, wanted, question.boxes, strict=True):
            assert box == item.box and iou(item.box, shown(str(entry["bbox_2d"]))) > 0.85
            assert entry["label"] == (item.shape if things == "objects" else things)


def test_find_answers_keep_the_contract():
    for _, question in asked(questions.find):
        thought, answer = words(r"<think>(.+)</think><answer>(.+)</answer>", question.answer)
        assert thought == f"{len(json.loads(answer))} {question.label}"


def test_single_boxes_are_those_of_the_only_shape_that_fits():
    for scene, question in asked(questions.ground):
        (thing,) = words(r"Give the box of the (\w+ \w+)\.", question.prompt)
        (item,) = (s for s in scene.shapes if matches(s, thing))
        assert question.boxes == [item.box] and iou(item.box, shown(question.answer)) > 0.85


def test_tool_calls_name_the_tool_and_what_it_works_on():
    seen = Counter()
    for scene, question in asked(questions.call_tool):
        (text,) = words(r"<tool_call>(.+)</tool_call>", question.answer)
        call = json.loads(text)
        if call["name"] == "rotate":
            assert question.prompt == f"Rotate the image by {call['arguments']['angle']} degrees."
        else:
            (thing,) = words(r"Zoom in on the (\w+ \w+)\.", question.prompt)
            (item,) = (s for s in scene.shapes if matches(s, thing))
            assert iou(item.box, shown(str(call["arguments"]["bbox_2d"]))) > 0.85
        seen[call["name"]] += 1
    assert set(seen) == {"rotate", "crop"}


@pytest.mark.parametrize("maker", [questions.describe, questions.tell])
def test_captions_tell_all_and_nothing_else(maker):
    for scene, question in asked(maker):
        assert told(question.answer) == truth(scene)


def test_instructed_answers_obey_and_are_true():
    obeys = {
        "upper": lambda answer: answer.isupper(),
        "one": lambda answer: answer.count(".") == 1 and answer.endswith("."),
        "no_color": lambda answer: not any(color in answer.lower() for color in COLORS),
        "no_size": lambda answer: not any(size in answer.lower() for size in SIZES),
        "start": lambda answer: answer.startswith("I see"),
        "list": lambda answer: set(answer.split(", ")) <= set(SHAPES),
        "list_upper": lambda answer: (
            set(answer.lower().split(", ")) <= set(COLORS) and answer.isupper()
        ),
    }
    seen = set()
    for scene, question in asked(questions.instruct):
        kind = question.details["constraint"]
        assert obeys[kind](question.answer), question
        attribute = "color" if kind == "list_upper" else "shape"
        named = re.findall(
            "|".join(COLORS if kind == "list_upper" else SHAPES), question.answer.lower()
        )
        assert named == [getattr(s, attribute) for s in scene.shapes]
        seen.add(kind)
    assert seen == set(obeys)


# ---- judgements ------------------------------------------------------------------------------


def test_the_winner_of_a_pair_has_fewer_faults():
    close = 0
    for scene, question in asked(questions.judge_pair):
        a, b = words(r".+ Which answer is better\? A: (.+) B: (.+)", question.prompt)
        counted = {"A": faults(truth(scene), told(a)), "B": faults(truth(scene), told(b))}
        loser = {"A": "B", "B": "A"}[question.answer]
        assert counted[question.answer] <= counted[loser]
        close += counted[question.answer] == counted[loser]
        assert question.details["responses"] == [a, b]
    assert close <= 3  # a wrong attribute can happen to make a missing shape look like another


def test_a_point_score_falls_by_three_with_every_fault():
    for scene, question in asked(questions.judge_point):
        (text,) = words(r".+ Score this answer from 1 to 10: (.+)", question.prompt)
        number = question.details["faults"][0]
        assert int(question.answer) == 10 - 3 * number
        assert faults(truth(scene), told(text)) <= number
        if number < 2:  # without a missing shape, faults can be counted exactly
            assert faults(truth(scene), told(text)) == number


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_spoiling_makes_as_many_faults_as_asked_and_leaves_the_original_alone(number):
    rng = random.Random(number)
    exact = 0
    for scene in drawn("scene")[:200]:
        before = truth(scene)
        spoiled = questions.spoil(rng, scene.shapes, number)
        assert truth(scene) == before
        exact += faults(before, told(questions.caption(spoiled))) == number
    assert exact >= 196


# ---- documents -------------------------------------------------------------------------------


def test_text_only_answers_are_true():
    rng, seen = random.Random(0), Counter()
    opposites = {"small": "large", "top": "bottom", "left": "right", "yes": "no"}
    for _ in range(300):
        question = questions.text_only(rng)
        if found := re.fullmatch(r"What is (\d+) ([+-]) (\d+)\?", question.prompt):
            a, sign, b = found.groups()
            assert int(question.answer) == int(a) + (int(b) if sign == "+" else -int(b)) >= 0
        elif found := re.fullmatch(r"Which is larger, (\d+) or (\d+)\?", question.prompt):
            assert int(question.answer) == max(map(int, found.groups()))
        elif found := re.fullmatch(r"Write '(\w+)' in upper case\.", question.prompt):
            assert question.answer == found[1].upper()
        else:
            (word,) = words(r"What is the opposite of (\w+)\?", question.prompt)
            assert question.answer == opposites[word]
        seen[question.prompt.split()[2]] += 1
    assert len(seen) >= 4


# ---- clips -----------------------------------------------------------------------------------


def test_clip_questions_are_about_the_moving_shape():
    for clip, question in asked(questions.motion, "clip"):
        assert question.prompt == f"Which way does the {clip.shapes[0].name} move?"
        assert question.answer == clip.motion
    for clip, question in asked(questions.mover, "clip"):
        assert question.answer == clip.shapes[0].name


# ---- balance ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker", "most"),
    [
        (questions.count, 0.45),
        (questions.exists, 0.57),
        (questions.relation, 0.57),
        (questions.judge_pair, 0.57),
        (questions.judge_point, 0.47),
    ],
)
def test_always_giving_the_commonest_answer_earns_little(maker, most):
    rng, answers = random.Random(1), Counter()
    for scene in drawn("scene") * 3:
        if question := maker(rng, scene):
            answers[question.answer] += 1
    total = sum(answers.values())
    assert total > 300 and max(answers.values()) / total < most, answers


def test_the_length_of_a_caption_does_not_tell_the_winner_of_most_pairs():
    rng, longer = random.Random(2), Counter()
    for scene in drawn("scene") * 2:
        if question := questions.judge_pair(rng, scene):
            a, b = (len(told(text)) for text in question.details["responses"])
            longer[
                "same" if a == b else "longer" if (a > b) == (question.answer == "A") else "shorter"
            ] += 1
    assert longer["same"] > 0.5 * sum(longer.values())


# ---- asking ----------------------------------------------------------------------------------


def test_a_picture_is_never_asked_the_same_question_twice():
    rng = random.Random(3)
    for picture in drawn("scene")[:50] + drawn(*DOCUMENTS)[::10]:
        prompts = [question.prompt for question in questions.ask(rng, picture, 12)]
        assert 1 <= len(set(prompts)) == len(prompts) <= 12


def test_only_chosen_questions_are_asked():
    rng = random.Random(4)
    tasks = {
        q.task for s in drawn("scene")[:60] for q in questions.ask(rng, s, 9, questions.PERCEPTION)
    }
    assert tasks == {
        "caption", "count", "attribute", "exists", "detect", "detect_all", "ground", "region",
        "relation",
    }  # fmt: skip


def test_every_cell_is_named_in_some_caption():
    said = {
        place for scene in drawn("scene") for *_, place in told(questions.caption(scene.shapes))
    }
    assert said == set(CELLS)
