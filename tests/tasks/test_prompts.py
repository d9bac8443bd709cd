"""Prompts are part of a benchmark: this snapshot makes a change of words visible."""

from pathlib import Path

import tasks.prompts
from tasks.prompts import prompt

RENDERED = {
    "classify": ({}, "Which class is it?"),
    "describe": ({}, "Tell me what you see."),
    "find": ({"label": "circle"}, "Find every circle."),
    "locate_text": ({"text": "47"}, "Give the box of the text 47."),
    "pairwise_judgement": (
        {"question": "Q?", "a": "first", "b": "second"},
        "Q? Which answer is better? A: first B: second",
    ),
    "point": ({"label": "the red circle"}, "Point at the red circle."),
    "pointwise_judgement": (
        {"question": "Q?", "a": "first"},
        "Q? Score this answer from 1 to 10: first",
    ),
    "read_crop": ({}, "What is written here?"),
    "think_with_boxes": ({"question": "Q?"}, "Think with boxes. Q?"),
}


def test_every_prompt_renders_as_it_always_did():
    files = {path.stem for path in Path(tasks.prompts.__file__).parent.glob("*.txt")}
    assert files == set(RENDERED)
    for name, (values, text) in RENDERED.items():
        assert prompt(name, **values) == text
