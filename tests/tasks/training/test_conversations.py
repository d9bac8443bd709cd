"""Rows that a model cannot be trained on are set aside before TRL sees them."""

import time

import pytest
from datasets import Dataset, Features
from PIL import Image

from tasks.asking.opening import open_model_processor
from tasks.records.images import to_png
from tasks.running.errors import UserError
from tasks.training.conversations import (
    MESSAGES,
    PICTURES,
    assistant_turn,
    conversation_dataset,
    pictures,
    trainable,
    user_turn,
)

CONTEXT = 2048
LONG = "It is long. " * 2000


@pytest.fixture(scope="module")
def processor(model_folder):
    return open_model_processor(model_folder)


def png(width: int, height: int) -> bytes:
    return to_png(Image.new("RGB", (width, height)))


def test_rows_that_cannot_be_trained_on_are_set_aside_and_counted(processor, capsys):
    good = ("Hi", "Yes", [png(96, 96)])
    odd = [
        ("Hi", "Yes", [png(2000, 1)]), (LONG, "Yes", []), ("Hi", LONG, [png(96, 96)]),
        ("Hi", "Yes", [b"no picture"]), ("Hi", "Yes", [png(96, 96)] * 60),
    ]  # fmt: skip
    data = conversation_dataset([good, *odd, good])
    kept = trainable(data, processor, CONTEXT)
    assert len(kept) == 2 and kept.features == data.features
    assert capsys.readouterr().out == (
        "5 examples set aside: it is longer than the model's context (3), the processor refuses "
        "it (1), a picture cannot be opened (1)\n"
    )
    with pytest.raises(UserError, match="no example") as error:
        trainable(data.select(range(1, 6)), processor, CONTEXT)
    assert "longer than the model's context (3)" in error.value.why


def test_the_longer_answer_of_a_pair_and_room_for_one_to_come_count(processor):
    features = {"prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES, "images": PICTURES}
    rows = [
        {
            "prompt": user_turn("Hi<|im_end|>"), "chosen": assistant_turn("<|image_pad|>"),
            "rejected": assistant_turn(rejected), "images": pictures([png(96, 96)]),
        }
        for rejected in ("No<|im_start|>", LONG)
    ]  # fmt: skip
    kept = trainable(Dataset.from_list(rows, features=Features(features)), processor, CONTEXT)
    assert [kept[0][name][0]["content"] for name in ("prompt", "chosen", "rejected")] == [
        "Hi< |im_end|>", "< |image_pad|>", "No< |im_start|>",
    ]  # fmt: skip
    assert len(kept) == 1 and trainable(kept, processor, CONTEXT, room=100) is kept
    with pytest.raises(UserError, match="no example"):
        trainable(kept, processor, CONTEXT, room=2000)


def test_a_thousand_ordinary_rows_stay_the_same_object_within_a_second(processor):
    data = conversation_dataset([(f"What is {i}?", "A star.", [png(96, 96)]) for i in range(1000)])
    start = time.monotonic()
    assert trainable(data, processor, CONTEXT) is data
    assert time.monotonic() - start < 1
