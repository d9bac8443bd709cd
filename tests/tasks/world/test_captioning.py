"""Scenes with a habit: what is drawn, what drafts say of it, and the text model by rules."""

import random
from collections import Counter

import pytest

from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.prompts import prompt
from tasks.synthesis.captioning.writing import Material, list_objects, write_captions
from tasks.world.caption_samples import is_true, make_habitat, read_draft, samples_about
from tasks.world.captioning import (
    HABITS,
    PREFIX,
    QUESTIONS,
    REQUEST,
    TINTS,
    ask_about,
    draft,
    draw_habitat,
    true_caption,
)
from tasks.world.captioning_rules import RuleEngine, answered, read
from tasks.world.drawing import split_of
from tasks.world.scenes import content_of

SCENES = [draw_habitat(random.Random(seed), "train") for seed in range(300)]


def test_scenes_are_what_their_habits_say():
    there: Counter[bool] = Counter()
    for scene in SCENES:
        names = [item.shape for item in scene.picture.shapes]
        assert 3 <= len(names) <= 6 and len(set(names)) == len(names)
        assert sum(item.size == "large" for item in scene.picture.shapes) == 2
        assert split_of(f"{scene.tint} {content_of(scene.picture.shapes)}") == "train"
        habit = HABITS.get(scene.tint)
        assert scene.missing == (habit if habit and habit not in names else "")
        if habit:
            there[habit in names] += 1
    assert {scene.tint for scene in SCENES} == set(TINTS)
    assert 0.6 < there[True] / there.total() < 0.8
    held_out = [make_habitat(0, "test", n) for n in range(200)]
    habits = [not scene.missing for scene in held_out if scene.tint in HABITS]
    assert 0.38 < sum(habits) / len(habits) < 0.62


def test_drafts_name_everything_and_from_habit_what_is_missing():
    slips = []
    for seed, scene in enumerate(SCENES):
        said = read_draft(draft(random.Random(seed), scene), scene.tint)
        assert said.parsed and said.named >= {item.shape for item in scene.picture.shapes}
        if scene.missing:
            slips.append(said.habit)
        extra = said.named - {item.shape for item in scene.picture.shapes}
        assert extra <= {scene.missing}
    assert slips and any(slips) and not all(slips)
    assert not read_draft("A night scene. It sings.", "night").parsed
    assert read_draft("", "plain").habit is None


def test_what_is_asked_back_is_there_and_rightly_answered():
    for seed, scene in enumerate(SCENES):
        names = {item.shape for item in scene.picture.shapes}
        for one in ask_about(random.Random(seed), scene, 9):
            assert one.prompt == REQUEST or (one.prompt.startswith(PREFIX) and one.label in names)
            if one.task in ("look", "place"):
                truth = read(true_caption(scene), f"Where is the {one.label}?")
                assert one.task == "look" or truth in one.answer


def test_every_question_is_answered_from_a_true_caption_and_from_no_other():
    """The reader by rules reads true captions rightly: what is lost is lost by the caption."""
    right = []
    for n in range(120):
        scene = make_habitat(0, "dev", n)
        for sample in samples_about(0, "dev", n):
            assert read(true_caption(scene), sample.prompt) == sample.answer
            right.append(read(draft(random.Random(n), scene), sample.prompt) == sample.answer)
            assert read("", sample.prompt) in ("unknown", "no", "0")
    assert len(right) == 120 * len(QUESTIONS) and 0.3 < sum(right) / len(right) < 0.8


def test_the_rules_are_asked_as_any_text_model_is(tmp_path):
    writer = Asker(RuleEngine(), tmp_path)
    [[named, nothing]] = list_objects(writer, [["A red star is there", "A night scene"]], PREFIX, 9)
    assert named == [f"{PREFIX} the star."] and nothing == []
    scene = SCENES[0]
    sentences = tuple(true_caption(scene).rstrip(".").split(". "))
    [one] = write_captions(writer, [Material(sentences, (), {})], 9, "pattern")
    assert one.text == true_caption(scene) and one.added == () and one.fell_back == ()
    words = prompt("caption/read", caption="There is a star.", question="Is there a star?")
    [[reply]] = writer.ask([question(words)], max_new_tokens=9)
    assert reply.text == "yes" and reply.ended == "end"
    [scored] = writer.score([(question("a"), "b")])
    assert scored.unanswered


@pytest.mark.parametrize("text", ["", "Describe the image.", "A caption of a picture says: x"])
def test_the_rules_say_nothing_to_what_they_do_not_know(text):
    assert answered(text) == ""


def test_true_captions_are_true_and_drafts_where_they_slip_are_not():
    slips = 0
    for n in range(150):
        scene = make_habitat(0, "dev", n)
        shapes = samples_about(0, "dev", n)[0].details["shapes"]
        for sentence in true_caption(scene).split(". "):
            assert is_true(sentence, scene.tint, shapes) is True
        for sentence in draft(random.Random(n), scene).split(". "):
            truth = is_true(sentence, scene.tint, shapes)
            assert truth is (not scene.missing or scene.missing not in sentence)
            slips += not truth
    assert slips > 10
    assert (
        is_true("It sings", "night", []) is None and is_true("A night scene.", "plain", []) is False
    )
