"""Turns questions and answers into the conversational vision datasets that TRL reads."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset, Features, Image, List, Value

MESSAGES = List({"role": Value("string"), "content": Value("string")})
PICTURES = List(Image())


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
