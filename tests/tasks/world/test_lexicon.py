"""What is held out of training is held out for good: every later claim relies on it."""

from tasks.world.lexicon import (
    CELLS,
    COLORS,
    HELD_OUT_SHAPES,
    KNOWN_COMBINATIONS,
    NOVEL_COMBINATIONS,
    SHAPES,
    plural,
)


def test_held_out_shapes_are_no_training_shapes():
    assert not set(HELD_OUT_SHAPES) & set(SHAPES)


def test_known_and_novel_combinations_share_nothing_and_are_everything():
    everything = {(color, shape) for color in COLORS for shape in SHAPES}
    assert set(KNOWN_COMBINATIONS) | NOVEL_COMBINATIONS == everything
    assert len(KNOWN_COMBINATIONS) == 32 and len(NOVEL_COMBINATIONS) == 16


def test_every_word_of_a_novel_combination_is_known_from_another_one():
    assert {color for color, _ in KNOWN_COMBINATIONS} == set(COLORS)
    assert {shape for _, shape in KNOWN_COMBINATIONS} == set(SHAPES)


def test_the_held_out_combinations_never_change():
    # the shipped model was trained without exactly these
    assert " ".join(sorted(f"{color}-{shape}" for color, shape in NOVEL_COMBINATIONS)) == (
        "black-cross black-square blue-square green-circle green-star orange-diamond "
        "orange-triangle pink-square purple-square purple-star red-cross red-diamond red-star "
        "red-triangle yellow-cross yellow-triangle"
    )


def test_nine_cells_have_nine_names():
    assert len(set(CELLS)) == 9
    assert CELLS[0] == "top left" and CELLS[4] == "center" and CELLS[8] == "bottom right"


def test_plurals_are_english():
    assert [plural(shape) for shape in SHAPES] == [
        "circles", "squares", "triangles", "stars", "diamonds", "crosses",
    ]  # fmt: skip
