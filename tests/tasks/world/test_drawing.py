"""Train, dev and test never share a picture, and what is held out is never drawn for training."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tasks.records.images import to_png
from tasks.world import documents, drawing, questions
from tasks.world.lexicon import (
    COLORS,
    HELD_OUT_SHAPES,
    KNOWN_COMBINATIONS,
    NOVEL_COMBINATIONS,
    SHAPES,
)
from tasks.world.scenes import scene_of


def hashes(picture: drawing.Picture) -> set[str]:
    return {hashlib.sha256(to_png(frame)).hexdigest() for frame in picture.frames}


@pytest.fixture(scope="module")
def training():
    """Training pictures of all kinds with their questions, scenes three times as often."""
    rng = random.Random("training")
    kinds = [*drawing.KINDS, "scene", "scene"] * 250
    return [drawing.draw_for_pretraining(rng, kind, 8) for kind in kinds]


@pytest.fixture(scope="module")
def held_out():
    """Test pictures from other seeds, mostly scenes: they have the fewest different contents."""
    rng = random.Random("test")
    kinds = [*drawing.KINDS] * 8 + ["scene"] * 100
    return [drawing.draw(rng, kind, "test") for kind in kinds]


@pytest.fixture(scope="module")
def prompts(training):
    return [question.prompt for _, asked in training for question in asked]


def test_no_test_picture_comes_up_in_training(training, held_out):
    pictures = [picture for picture, _ in training]
    assert len(pictures) > 2000 and len(held_out) > 150
    assert {drawing.split_of(p.content) for p in pictures} == {"train"}
    assert not {p.content for p in pictures} & {p.content for p in held_out}
    assert not set().union(*map(hashes, pictures)) & set().union(*map(hashes, held_out))


def test_pictures_with_few_possible_contents_do_repeat_within_a_split(training):
    # without this, disjoint splits would prove nothing about the rule that separates them
    contents = Counter(p.content for p, _ in training if p.kind == "scene" and len(p.shapes) == 1)
    assert contents.most_common(1)[0][1] > 1


def test_the_rendering_does_not_decide_the_split():
    rng = random.Random(0)
    scene = drawing.draw(rng, "scene", "test")
    for seed in range(10):
        again = scene_of(random.Random(seed), scene.shapes)
        assert drawing.split_of(again.content) == "test"


def test_one_picture_in_ten_is_held_out():
    shares = Counter(drawing.split_of(f"picture {i}") for i in range(20_000))
    assert shares["train"] == pytest.approx(18_000, rel=0.02)
    assert shares["dev"] == pytest.approx(1_000, rel=0.12)
    assert shares["test"] == pytest.approx(1_000, rel=0.12)


def test_a_crop_belongs_to_the_split_of_its_page():
    kinds = (
        documents.draw_chart,
        documents.draw_table,
        documents.draw_receipt,
        documents.draw_report,
    )
    for seed in range(60):
        rng = random.Random(seed)
        page = rng.choice(kinds)(rng)  # what draw_crop does first
        assert documents.draw_crop(random.Random(seed)).content == page.content


def test_held_out_shapes_are_neither_drawn_nor_named_in_training(training):
    drawn = {shape.shape for picture, _ in training for shape in picture.shapes}
    assert drawn == set(SHAPES)
    texts = [f"{q.prompt} {q.answer}" for _, asked in training for q in asked]
    assert not [text for text in texts if any(shape in text for shape in HELD_OUT_SHAPES)]


def test_novel_combinations_are_seen_and_described_but_never_asked_to_be_found(training, prompts):
    found = {prompt for prompt in prompts if prompt.startswith("Find every")}
    known = {f"Find every {color} {shape}." for color, shape in KNOWN_COMBINATIONS}
    assert len(found) > 20 and found <= known
    drawn = {(s.color, s.shape) for picture, _ in training for s in picture.shapes}
    assert drawn >= NOVEL_COMBINATIONS


def test_sizes_are_never_counted_in_training(prompts):
    assert any(prompt.startswith("How many") for prompt in prompts)
    assert not [p for p in prompts if "small objects" in p or "large objects" in p]


def test_plain_perception_asks_for_no_behaviour():
    rng = random.Random(2)
    asked = [
        question
        for _ in range(150)
        for question in drawing.draw_for_pretraining(rng, "scene", 9, questions.PERCEPTION)[1]
    ]
    tasks = {question.task for question in asked}
    assert "count" in tasks and not tasks & {"find", "tell", "instruct", "judge_pair", "tool"}


def test_scenes_to_find_hold_what_is_looked_for_and_near_misses():
    rng, several = random.Random(3), 0
    for _ in range(40):
        scene = drawing.draw_to_find(rng, "train", (("red", "star"),))
        matching = [s for s in scene.shapes if s.name == "red star"]
        assert 1 <= len(matching) <= 3 and drawing.split_of(scene.content) == "train"
        assert all(s.color == "red" or s.shape == "star" for s in scene.shapes)
        several += len(matching) > 1
    assert several > 10


DRAW = """
import hashlib, random
from tasks.world import documents, drawing, questions
digest = hashlib.sha256()
rng = random.Random(11)
for kind in list(drawing.KINDS) * 3 + ["scene"] * 20:
    picture, asked = drawing.draw_for_pretraining(rng, kind, 9)
    digest.update(picture.content.encode())
    for frame in picture.frames:
        digest.update(frame.tobytes())
    for question in asked:
        digest.update(repr(question).encode())
print(digest.hexdigest())
"""


def test_the_same_seed_draws_the_same_in_every_process():
    seen = set()
    for hash_seed in ("1", "2"):  # the order of sets differs between the two
        environment = os.environ | {
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        run = subprocess.run(
            [sys.executable, "-c", DRAW],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(run.stdout.strip())
    assert len(seen) == 1 and len(seen.pop()) == 64


def test_another_seed_draws_other_pictures():
    def drawn(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [drawing.draw(rng, kind, "train").content for kind in drawing.KINDS]

    assert drawn(1) == drawn(1)
    assert not set(drawn(1)) & set(drawn(2))


# ---- patch labels ----------------------------------------------------------------------------

PATCH = 8


def labels_at(labels: np.ndarray, row: int, column: int) -> set[str]:
    return {drawing.PATCH_LABELS[i] for i in np.nonzero(labels[row, column])[0]}


def test_the_patch_of_a_centre_says_what_is_there():
    rng = random.Random(4)
    for _ in range(50):
        scene = drawing.draw(rng, "scene", "train")
        labels = drawing.patch_labels(scene.marks, PATCH)
        centres = labels[..., drawing.PATCH_LABELS.index("center")]
        assert 1 <= centres.sum() <= len(scene.shapes)
        for shape in scene.shapes:
            here = labels_at(labels, shape.y // PATCH, shape.x // PATCH)
            assert {shape.shape, shape.color, shape.size, "center"} <= here


def test_patches_with_a_colour_label_are_those_near_painted_pixels():
    rng = random.Random(5)
    for _ in range(30):
        scene = drawing.draw(rng, "scene", "train")
        pixels = np.asarray(scene.frames[0]).astype(int)
        painted = np.abs(pixels - pixels[0, 0]).max(-1) > 0
        share = painted.reshape(12, PATCH, 12, PATCH).mean((1, 3))
        indices = [drawing.PATCH_LABELS.index(color) for color in COLORS]
        labelled = drawing.patch_labels(scene.marks, PATCH)[..., indices].any(-1)
        assert labelled[share > 0.3].all()


def test_the_labelled_characters_of_a_page_are_its_text():
    rng = random.Random(6)
    for _ in range(20):
        page = drawing.draw(rng, "receipt", "train")
        labels = drawing.patch_labels(page.marks, PATCH)
        labels = labels.reshape(-1, len(drawing.PATCH_LABELS)).any(0)
        seen = {drawing.PATCH_LABELS[i] for i in np.nonzero(labels)[0]}
        text = "RECEIPTTotal" + "".join(f.text + "".join(f.keys) for f in page.facts)
        assert seen == set(text)


@pytest.mark.parametrize("kind", ["crop", "clip"])
def test_pictures_without_marks_have_unknown_patches(kind):
    labels = drawing.patch_labels(drawing.draw(random.Random(7), kind, "train").marks, PATCH)
    assert labels.shape == (12, 12, len(drawing.PATCH_LABELS))
    assert (labels == drawing.UNKNOWN).all()


def test_every_label_has_one_meaning():
    assert len(set(drawing.PATCH_LABELS)) == len(drawing.PATCH_LABELS) < drawing.UNKNOWN


def test_every_kind_of_picture_can_be_asked_something():
    assert set(questions.QUESTIONS) == set(drawing.KINDS)
