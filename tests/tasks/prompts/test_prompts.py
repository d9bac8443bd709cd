"""Prompts are part of a benchmark: this snapshot makes a change of words visible."""

from pathlib import Path

import tasks.prompts
from tasks.prompts import prompt

RENDERED = {
    "classify": ({}, "Which class is it?"),
    "describe": ({}, "Tell me what you see."),
    "final_instructions": (
        {},
        "Think first, then answer with the name of the class alone, exactly like this: "
        "<think>your thoughts</think><answer>class name</answer>",
    ),
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
    "tagged_box_instructions": (
        {"width": "1000", "height": "900"},
        "Write its box as (x0,y0),(x1,y1) in integers, with x from 0 to 1000 and y from 0 to 900. "
        "Think first, then answer, exactly like this: "
        "<think>your thoughts</think><answer>(x0,y0),(x1,y1)</answer>",
    ),
    "tagged_detections_instructions": (
        {"width": "1000", "height": "900"},
        "Write every box as [x0, y0, x1, y1] in integers, with x from 0 to 1000 and y from 0 to "
        "900, and a confidence from 0 to 1 with two decimals. If there is none, the answer is No "
        "Objects. Think first, then answer, exactly like this: <think>your thoughts</think><answer>"
        '[{"Position": [x0, y0, x1, y1], "Confidence": 0.95}, ...]</answer>',
    ),
    "think_with_boxes": ({"question": "Q?"}, "Think with boxes. Q?"),
}


def test_every_prompt_renders_as_it_always_did():
    files = {path.stem for path in Path(tasks.prompts.__file__).parent.glob("*.txt")}
    assert files == set(RENDERED)
    for name, (values, text) in RENDERED.items():
        assert prompt(name, **values) == text
