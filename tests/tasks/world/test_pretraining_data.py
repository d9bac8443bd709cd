"""The stream of batches: a function of (seed, rank, step) alone, and pictures match their rows."""

import numpy as np
import pytest
import torch

from models.tiny.packing import IGNORED, image_patches
from models.tiny.vlm import MERGE, PATCH
from tasks.world import drawing
from tasks.world.lexicon import COLORS, SIDE
from tasks.world.pretraining_data import Drawn, Resumable

TOKENS = (SIDE // (PATCH * MERGE)) ** 2  # of one picture


@pytest.fixture(scope="module")
def drawn(tokenizer) -> Drawn:
    return Drawn(tokenizer, seed=5, rank=0, steps=24, perception_steps=8)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_batch_depends_on_seed_rank_and_step_only(tokenizer, drawn):
    again = Drawn(tokenizer, seed=5, rank=0, steps=1000, perception_steps=8)
    again[3]  # whatever was drawn before does not matter
    assert same(drawn[9], again[9])
    other_rank = Drawn(tokenizer, seed=5, rank=1, steps=24, perception_steps=8)
    other_seed = Drawn(tokenizer, seed=6, rank=0, steps=24, perception_steps=8)
    assert not same(drawn[9], other_rank[9])
    assert not same(drawn[9], other_seed[9])
    assert not same(drawn[9], drawn[10])


@pytest.mark.parametrize("step", [0, 7, 12, 15])
def test_all_batches_have_the_same_shapes(drawn, step):
    shapes = {name: tuple(tensor.shape) for name, tensor in drawn[step].items()}
    assert shapes == {
        "input_ids": (10, 256),
        "positions": (3, 10, 256),
        "segments": (10, 256),
        "labels": (10, 256),
        "pixels": (9, SIDE, SIDE, 3),
        "patch_labels": (9, (SIDE // PATCH) ** 2, len(drawing.PATCH_LABELS)),
    }


@pytest.mark.parametrize("step", [0, 7, 12, 15])
def test_every_picture_has_its_tokens_in_the_rows(drawn, tokenizer, step):
    batch = drawn[step]
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    per_row = (batch["input_ids"] == pad).sum(1)
    assert per_row.sum() == len(batch["pixels"]) * TOKENS
    assert set(per_row.tolist()) == ({0, TOKENS, 4 * TOKENS} if step % 8 == 7 else {0, TOKENS})


def test_answers_are_learned_and_nothing_else(drawn, tokenizer):
    batch = drawn[12]
    learned = batch["labels"] != IGNORED
    assert torch.equal(batch["labels"][learned], batch["input_ids"][learned])
    assert learned.any(1).all(), "every row teaches something"
    for row in range(3):
        for segment in range(1, int(batch["segments"][row].max()) + 1):
            here = (batch["segments"][row] == segment) & learned[row]
            text = tokenizer.decode(batch["input_ids"][row][batch["segments"][row] == segment])
            answer = tokenizer.decode(batch["input_ids"][row][here])
            assert text.endswith("<|im_start|>assistant\n" + answer)
            assert answer.endswith("<|im_end|>") and answer.count("<|im_end|>") == 1


def test_the_first_steps_ask_plain_questions_only(drawn, tokenizer):
    def text(steps: range) -> str:
        return "".join(tokenizer.decode(drawn[i]["input_ids"].flatten()) for i in steps)

    phrases = ("Find every", "Tell me what you see.", "Which answer is better?", "Zoom in")
    assert not [phrase for phrase in phrases if phrase in text(range(8))]
    assert not [phrase for phrase in phrases if phrase not in text(range(8, 24))]


def test_patch_labels_are_in_the_order_of_the_patches(drawn):
    """A patch whose label is the centre of a red square must be a red patch."""
    names, checked = drawing.PATCH_LABELS, 0
    shape_index = [names.index(shape) for shape in ("square", "circle", "diamond", "cross")]
    for step in range(4):
        batch = drawn[step]
        labels = batch["patch_labels"].flatten(0, 1).numpy()
        patches = image_patches(batch["pixels"], PATCH, MERGE).numpy().reshape(-1, 3, PATCH * PATCH)
        centres = np.nonzero(
            (labels[:, names.index("center")] == 1) & (labels[:, shape_index] == 1).any(1)
        )[0]
        for index in centres:
            present = [color for color in COLORS if labels[index, names.index(color)] == 1]
            colours = (patches[index] + 1) * 127.5  # [3, pixels]
            nearest = [
                min(COLORS, key=lambda c: np.abs(np.array(COLORS[c]) - pixel).sum())
                for pixel in colours.T
            ]
            assert set(present) & set(nearest), (present, set(nearest))
            checked += 1
    assert checked > 10


def test_a_resumed_stream_continues_where_it_was_left(tokenizer):
    data = Drawn(tokenizer, seed=1, rank=0, steps=5, perception_steps=0)
    stream = Resumable(data)
    taken = iter(stream)
    assert same(next(taken), data[0]) and same(next(taken), data[1])
    state = stream.state_dict()
    resumed = Resumable(data)
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert len(rest) == 3 and all(same(batch, data[i]) for i, batch in enumerate(rest, start=2))
    assert len(stream) == 5 and resumed.state_dict() == {"done": 5}
