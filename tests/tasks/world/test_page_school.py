"""The school of the embedded retriever: its lessons, and the loss on where words stand."""

import random

import pytest
import torch

from models.retrieval.encoder import new_retriever
from models.tiny.retrieving import pointing_loss
from models.vlm.loading import load_model, load_processor
from tasks.world import drawing, page_school, pages
from tasks.world.page_school import CELL, SIZES, PageLessons, draw_lesson, size_of


@pytest.fixture(scope="module")
def lessons(model_folder) -> PageLessons:
    encoder = new_retriever(
        load_model(model_folder), load_processor(model_folder), None, 16, 0,
        pages.WIDTH * pages.HEIGHT,
    )  # fmt: skip
    return PageLessons(encoder[0], seed=1, steps=100)


def test_pages_grow_and_all_of_a_batch_have_one_size(lessons):
    assert sum(share for _, share, _ in SIZES) == pytest.approx(1)
    areas = [size_of(n / 100)[0][0] * size_of(n / 100)[0][1] for n in range(100)]
    assert areas == sorted(areas) and areas[-1] == pages.WIDTH * pages.HEIGHT
    for index in (0, 99):
        (width, height), number = size_of(index / 100)
        batch = lessons[index]
        grids = set(batch["pages"]["grids"])
        assert grids == {(height // CELL, width // CELL)}
        assert len(batch["pages"]["input_ids"]) == 2 * number == 2 * len(batch["cells"])
        patches = 2 * number * 4 * (height // CELL) * (width // CELL)
        assert batch["patch_labels"].flatten(0, 1).shape == (patches, len(drawing.PATCH_LABELS))


def test_a_lesson_is_a_function_of_its_number_and_differs_by_process(lessons):
    again, other = lessons[3], PageLessons(lessons.inputs, seed=1, steps=100, rank=1)[3]
    assert torch.equal(lessons[3]["pages"]["pixel_values"], again["pages"]["pixel_values"])
    assert not torch.equal(other["pages"]["pixel_values"], again["pages"]["pixel_values"])


def test_the_cells_of_a_word_are_those_of_its_facts_box(lessons):
    rng = random.Random(4)
    size = (160, 128)
    for _ in range(10):
        page, text, facts, near = draw_lesson(rng, size)
        assert pages.belongs(page, "train") and facts[0].words not in near.words
        length = lessons.inputs.preprocess([text])["input_ids"].shape[1]
        cells = page_school._cells(lessons.inputs, text, facts, size, length)
        tokens = lessons.inputs.tokenizer.convert_ids_to_tokens(
            lessons.inputs.preprocess([text])["input_ids"][0].tolist()
        )
        told = "".join(t for t, some in zip(tokens, cells, strict=True) if some.any())
        for fact in facts:
            assert "".join(fact.words.split()) in told.replace("Ġ", "").replace(",", "")
        x0, y0, x1, y1 = (int(v) // CELL for v in facts[0].box)
        wanted = (min(y1, size[1] // CELL - 1) - y0 + 1) * (min(x1, size[0] // CELL - 1) - x0 + 1)
        assert wanted in cells.sum(1).tolist()


def test_pointing_costs_what_falls_beside_the_right_cells():
    words = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    cells = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    right = torch.tensor([[[True, False, False], [False, False, False]]])
    weights = torch.softmax(torch.tensor([1.0, 0.0, 0.0]) / 0.1, 0)
    expected = -weights[0].log().item()
    assert pointing_loss(words, cells, right).item() == pytest.approx(expected, abs=1e-6)
    right[0, 1, 1] = right[0, 1, 2] = True  # both cells of the second word are right
    both = torch.softmax(torch.tensor([0.0, 1.0, 1.0]) / 0.1, 0)[1:].sum()
    expected = -(weights[0].log() + both.log()) / 2
    assert pointing_loss(words, cells, right).item() == pytest.approx(expected.item(), abs=1e-6)
    assert pointing_loss(words, cells, torch.zeros_like(right)).item() == 0
