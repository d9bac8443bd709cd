"""Turns questions and answers into the conversational vision datasets that TRL reads."""

import os
from collections.abc import Sequence
from typing import Any

from datasets import Dataset, Features, List, Value
from transformers import ProcessorMixin

from models.vlm.special_tokens import as_text
from tasks.asking.preparing import grouped, obstacle, size_of
from tasks.records.rows import PICTURES
from tasks.running.errors import UserError

MESSAGES = List({"role": Value("string"), "content": Value("string")})
ASKED, ANSWERED = ("prompt",), ("completion", "chosen", "rejected")


def user_turn(text: str) -> list[dict[str, str]]:
    """Return a prompt; TRL puts the pictures in front of its text."""
    return [{"role": "user", "content": text}]


def assistant_turn(text: str) -> list[dict[str, str]]:
    """Return an answer."""
    return [{"role": "assistant", "content": text}]


def pictures(images: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return encoded pictures as `datasets` stores them."""
    return [{"bytes": data, "path": None} for data in images]


def conversation_dataset(rows: Sequence[tuple[str, str, Sequence[bytes]]]) -> Dataset:
    """Build a prompt-completion dataset from (prompt, answer, pictures) rows."""
    return Dataset.from_list(
        [
            {
                "prompt": user_turn(question),
                "completion": assistant_turn(answer),
                "images": pictures(images),
            }
            for question, answer, images in rows
        ],
        features=Features({"prompt": MESSAGES, "completion": MESSAGES, "images": PICTURES}),
    )


def trainable(data: Dataset, processor: ProcessorMixin, context: int, room: int = 0) -> Dataset:
    """Return the rows that a model can be trained on; special tokens in their texts are text.

    Args:
        context: Tokens that the model can look at; 0 for no bound.
        room: Tokens that are kept free for an answer.

    Returns:
        The same object where nothing has to be changed.

    Raises:
        UserError: There is none.
    """
    for name in (*ASKED, *ANSWERED):
        if name in data.column_names:
            data = _plain(data, name, processor)
    reasons = _obstacles(data, processor, context, room)
    if not any(reasons):
        return data
    usable = [i for i, reason in enumerate(reasons) if not reason]
    if os.environ.get("RANK", "0") == "0":  # of the processes that train together, one says it
        aside = len(reasons) - len(usable)
        print(f"{aside} examples set aside: {grouped(reasons)}", flush=True)
    if not usable:
        raise UserError(
            "There is no example that the model can be trained on",
            f"all {len(reasons)} were set aside: {grouped(reasons)}",
            "look at the data, or choose a model with a longer context",
        )
    return data.select(usable)


def _plain(data: Dataset, name: str, processor: ProcessorMixin) -> Dataset:
    given = data[name][:]
    plain = [
        [turn | {"content": as_text(turn["content"], processor)} for turn in turns]
        for turns in given
    ]
    if plain == given:
        return data
    return data.remove_columns(name).add_column(name, plain, feature=data.features[name])


def _obstacles(data: Dataset, processor: ProcessorMixin, context: int, room: int) -> list[str]:
    names = [n for n in (*ASKED, *ANSWERED, "images") if n in data.column_names]
    found = []
    # as Arrow has them: pictures stay encoded, and their headers tell their sizes
    for table in data.select_columns(names).with_format("arrow").iter(100):
        for row in table.to_pylist():
            said = {n: "".join(turn["content"] for turn in row[n]) for n in names if n != "images"}
            longest = max((said[n] for n in ANSWERED if n in said), key=len, default="")
            images = [image["bytes"] for image in row.get("images") or () if image["bytes"]]
            sizes = [size_of(data) for data in images]
            found.append(
                obstacle(processor, context, said.get("prompt", "") + longest, sizes, room)
            )
    return found
