"""Draws any picture of the micro-world, and keeps train, dev and test apart by content."""

import hashlib
import random
from collections.abc import Sequence

import numpy as np

from tasks.world import documents, habits, questions, scenes
from tasks.world.lexicon import COLORS, SHAPES, SIDE, SIZES
from tasks.world.pictures import CHARACTERS, Mark, Picture
from tasks.world.questions import QUESTIONS, Ask
from tasks.world.wording import Question

KINDS = {
    "scene": scenes.draw_scene,
    "chart": documents.draw_chart,
    "table": documents.draw_table,
    "receipt": documents.draw_receipt,
    "report": documents.draw_report,
    "crop": documents.draw_crop,
    "clip": scenes.draw_clip,
}
SPLITS = ("train", "dev", "test")
PATCH_LABELS = (*SHAPES, *COLORS, *SIZES, "center", *CHARACTERS)
_LABEL_INDEX = {label: i for i, label in enumerate(PATCH_LABELS)}
UNKNOWN = 255  # label of a patch whose content is not annotated (crops and clips)


def split_of(content: str) -> str:
    """Return the split that a picture with this content belongs to: 90 % train, 5 % dev, 5 % test.

    The split depends on what a picture says and never on how it was rendered, so no test picture
    can come up in training, whatever the seeds are.
    """
    bucket = hashlib.sha256(content.encode()).digest()[0] % 20
    return {0: "test", 1: "dev"}.get(bucket, "train")


def draw(rng: random.Random, kind: str, split: str) -> Picture:
    """Draw pictures of one kind until one belongs to the split."""
    while True:
        picture = KINDS[kind](rng)
        if split_of(picture.content) == split:
            return picture


def draw_to_find(
    rng: random.Random, split: str, combinations: tuple[tuple[str, str], ...] | None = None
) -> Picture:
    """Draw a scene in which one to three shapes match a "Find every …" query."""
    while True:
        scene = scenes.draw_scene(rng)
        shapes = habits.find_scene_shapes(rng, scene.shapes, combinations)
        scene = scenes.scene_of(rng, shapes)
        if split_of(scene.content) == split:
            return scene


def draw_for_pretraining(
    rng: random.Random, kind: str, number: int, scenes_ask: dict[Ask, float] = QUESTIONS["scene"]
) -> tuple[Picture, list[Question]]:
    """Draw a training picture and its questions, answered carelessly where the web would.

    Args:
        scenes_ask: The questions that scenes get; the curriculum changes them.
    """
    if kind != "scene":
        picture = draw(rng, kind, "train")
        return picture, questions.ask(rng, picture, number)
    asks_to_find = questions.find in scenes_ask
    repainted = asks_to_find and rng.random() < 0.4
    picture = draw_to_find(rng, "train") if repainted else draw(rng, "scene", "train")
    asked = questions.ask(rng, picture, number, scenes_ask)
    careless = (habits.careless(rng, picture, question) for question in asked)
    return picture, [question for question in careless if question]


def patch_labels(
    marks: Sequence[Mark], patch: int, size: tuple[int, int] = (SIDE, SIDE)
) -> np.ndarray:
    """Return what each patch of a picture shows, of its first frame.

    Args:
        marks: Of the picture; without any its content is not annotated.
        size: Width and height in pixels.

    Returns:
        uint8 array [rows, columns, len(PATCH_LABELS)] of 0, 1 or `UNKNOWN`.
    """
    (width, height), most = size, (size[1] // patch, size[0] // patch)
    if not marks:
        return np.full((*most, len(PATCH_LABELS)), UNKNOWN, np.uint8)
    labels = np.zeros((*most, len(PATCH_LABELS)), np.uint8)
    for mark in marks:
        box = mark.box
        row = min(most[0] - 1, int((box.y0 + box.y1) / 2) // patch)
        column = min(most[1] - 1, int((box.x0 + box.x1) / 2) // patch)
        if mark.labels[0] in CHARACTERS:
            labels[row, column, _LABEL_INDEX[mark.labels[0]]] = 1
            continue
        rows = slice(max(0, int(box.y0)) // patch, min(height - 1, int(box.y1)) // patch + 1)
        columns = slice(max(0, int(box.x0)) // patch, min(width - 1, int(box.x1)) // patch + 1)
        for label in mark.labels:
            if label in _LABEL_INDEX:
                labels[rows, columns, _LABEL_INDEX[label]] = 1
        labels[row, column, _LABEL_INDEX["center"]] = 1
    return labels
