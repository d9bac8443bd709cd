"""Reads what models write: tagged answers, thoughts, and lists of boxes with confidences.

Only the strict reading of the Visual-RFT specification (section 5): exactly one answer pair, a
literal parser and never `eval`, no repairs, and one malformed element invalidates the whole answer;
and of Visionary-R1's (4.3): a caption is the one `<info>` pair, and holds no other tag.
"""

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Literal, TypeGuard

from tasks.records.boxes import Box, Frame

Grammar = Literal["plain", "caption_first"]
# The blocks of an answer, in their order.
GRAMMARS: dict[Grammar, tuple[str, ...]] = {
    "plain": ("think", "answer"),
    "caption_first": ("info", "think", "answer"),
}
_CONTRACTS = {
    grammar: re.compile(r"\s*".join(rf"<{block}>.*?</{block}>" for block in blocks), re.DOTALL)
    for grammar, blocks in GRAMMARS.items()
}
_NOTHING = re.compile(r"""["']?no objects?["']?\.?""", re.IGNORECASE)
# one box as Qwen models write it, [x0, y0, x1, y1], or as the Visual-RFT data does, (x0,y0),(x1,y1)
_ONE_BOX = re.compile(
    r"\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]"
    r"|\(\s*(\d+)\s*,\s*(\d+)\s*\)\s*,\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)",
    re.ASCII,  # other digits are look-alikes
)
_FOUR_NUMBERS = re.compile(r"\[\s*(-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?){3})\s*\]")
# `<answer>`, or "Answer:" with marks of emphasis around the word
MARKER = re.compile(r"<answer>|(?<!\w)[*_#]{0,4}\s?answer\s?[*_]{0,4}:", re.IGNORECASE)
SLACK = 0.02
BOX_KEYS = ("bbox_2d", "Position", "bbox")
CONFIDENCE_KEYS = ("confidence", "Confidence", "score")
# Longer answers are no answers: they cannot come from a model within its tokens, and the parser's
# memory and the matching's time grow with them.
LONGEST_ANSWER, MOST_BOXES, LONGEST_NUMBER = 100_000, 500, 9


@dataclass(frozen=True)
class Detection:
    """A predicted box; `confidence` is in 0..1."""

    box: Box
    confidence: float
    label: str = ""


class Malformed(ValueError):
    """An answer that cannot be read; the message says why in a few words."""


def keeps_contract(text: str, grammar: Grammar = "plain") -> bool:
    """True if the whole text is the blocks of a grammar in their order, each tag exactly once.

    >>> keeps_contract("<think>2 + 2</think><answer>4</answer>")
    True
    """
    # counted first: the pattern alone would take quadratic time on thousands of tags
    once = all(text.count(tag) == 1 for tag in _tags(grammar))
    return once and bool(_CONTRACTS[grammar].fullmatch(text))


def tagged_answer(text: str) -> str | None:
    """Return the content of the one answer pair, or None if there is none or more than one.

    >>> tagged_answer("<think>2 + 2</think><answer> 4 </answer>")
    '4'
    """
    try:
        return read_answer(text)
    except Malformed:
        return None


def read_answer(text: str) -> str:
    """Return the content of the one answer pair.

    Raises:
        Malformed: There is none, more than one, or it never ends.
    """
    return _only_block(text, "answer")


def read_caption(text: str) -> str:
    """Return the caption that a caption-first answer begins with.

    >>> read_caption("<info> A red ring. </info> <think>…</think> <answer>red</answer>")
    'A red ring.'

    Raises:
        Malformed: There is none, more than one, it never ends, says nothing, or holds other tags.
    """
    caption = _only_block(text, "info")
    if not caption:
        raise Malformed("empty caption")
    if any(tag in caption for tag in _tags("plain")):
        raise Malformed("tags inside the caption")
    return caption


def tagged_caption(text: str) -> str | None:
    """Return what `read_caption` does, or None where it would raise."""
    try:
        return read_caption(text)
    except Malformed:
        return None


def _only_block(text: str, name: str) -> str:
    opening, closing = f"<{name}>", f"</{name}>"
    opened, closed = text.count(opening), text.count(closing)
    if opened != 1 or closed != 1:
        if not opened:
            raise Malformed(f"no {name} tags")
        raise Malformed(f"{name} without an end" if not closed else f"several {name} tags")
    before, _, after = text.partition(opening)
    content, _, _ = after.partition(closing)
    if closing in before:
        raise Malformed(f"{name} tags in the wrong order")
    return content.strip()


def _tags(grammar: Grammar) -> list[str]:
    return [tag for block in GRAMMARS[grammar] for tag in (f"<{block}>", f"</{block}>")]


def marked_answer(text: str) -> str | None:
    """Return the short answer that a text marks; None where it marks none, or several.

    >>> marked_answer("It is 5. **Answer:** 5."), marked_answer("<answer>5</answer>")
    ('5.', '5')
    """
    if "<answer>" in text:
        return tagged_answer(text)
    places = [match.end() for match in MARKER.finditer(text)]
    return text[places[0] :].strip(" *_\n") if len(places) == 1 else None


def short_answer(text: str) -> str:
    """Return the short answer of a text: what it marks, or all of it where it marks nothing.

    >>> short_answer("It is 5. Answer: 5"), short_answer("5")
    ('5', '5')
    """
    marked = marked_answer(text)
    return text.strip() if marked is None else marked


def tagged_thought(text: str) -> str:
    """Return what stands between the think tags, or nothing."""
    match = re.search(r"<think>(.*?)</think>", text, re.DOTALL)
    return match[1] if match else ""


def detections(payload: str, frame: tuple[float, float]) -> list[Detection]:
    """Read a list of boxes with confidences.

    "No objects" and an empty list mean no detections. A position that is named twice counts once.

    Args:
        payload: The answer without its tags.
        frame: The frame that the model writes coordinates in.

    Raises:
        Malformed: Anything about it is wrong; one wrong element makes the whole answer wrong.
    """
    if len(payload) > LONGEST_ANSWER:
        raise Malformed("answer too long")
    payload = payload.strip()
    if _NOTHING.fullmatch(payload):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of odd escapes in a model's text
            items = ast.literal_eval(payload)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise Malformed("no list of boxes") from None
    if not isinstance(items, list):
        raise Malformed("no list of boxes")
    if len(items) > MOST_BOXES:
        raise Malformed(f"more than {MOST_BOXES} boxes")
    found: dict[tuple, Detection] = {}
    for item in items:
        detection = _detection(item, frame)
        box = detection.box
        found.setdefault((box.x0, box.y0, box.x1, box.y1), detection)
    return list(found.values())


def first_box(text: str, frame: Frame) -> Box | None:
    """Return the first `[x0, y0, x1, y1]` in a text if it is a valid box."""
    match = _FOUR_NUMBERS.search(text)
    if not match:
        return None
    corners = [float(v) for v in match[1].split(",")]
    if len(frame) > 2:  # decimals: what is hardly outside is rounded (specification of GCoT, 4)
        corners = [min(1.0, max(0.0, v)) if -SLACK <= v <= 1 + SLACK else v for v in corners]
    x0, y0, x1, y1 = corners
    box = Box(x0, y0, x1, y1, frame)
    return box if box.valid else None


def only_box(payload: str, frame: tuple[float, float]) -> Box:
    """Read the box that an answer consists of: integers, ordered corners, inside the frame.

    >>> only_box("(10,20),(30,40)", (1000, 1000)) == only_box("[10, 20, 30, 40]", (1000, 1000))
    True

    Raises:
        Malformed: It is anything else.
    """
    match = _ONE_BOX.fullmatch(payload.strip()) if len(payload) <= LONGEST_ANSWER else None
    numbers = [group for group in match.groups() if group] if match else []
    if not numbers:
        raise Malformed("not one box of four integers")
    if any(len(number) > LONGEST_NUMBER for number in numbers):
        raise Malformed("box outside the picture")
    x0, y0, x1, y1 = map(float, numbers)
    box = Box(x0, y0, x1, y1, frame)
    if x0 >= x1 or y0 >= y1:
        raise Malformed("box without area or with swapped corners")
    if not box.valid:
        raise Malformed("box outside the picture")
    return box


def _detection(item: object, frame: tuple[float, float]) -> Detection:
    if not isinstance(item, dict):
        raise Malformed("an element is no box with a confidence")
    corners = next((item[key] for key in BOX_KEYS if key in item), None)
    confidence = next((item[key] for key in CONFIDENCE_KEYS if key in item), None)
    if not isinstance(corners, list | tuple) or len(corners) != 4:
        raise Malformed("a box has not four numbers")
    if not all(_is_number(v) for v in corners):
        raise Malformed("a box has not four numbers")
    if not _is_number(confidence) or not 0 <= confidence <= 1:
        raise Malformed("a confidence is missing or outside 0..1")
    x0, y0, x1, y1 = corners
    if not (x0 < x1 and y0 < y1):
        raise Malformed("a box without area or with swapped corners")
    label = item.get("label", "")
    return Detection(
        Box(x0, y0, x1, y1, frame),
        float(confidence),
        label if isinstance(label, str) else "",
    )


def _is_number(value: object) -> TypeGuard[int | float]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < 10**LONGEST_NUMBER  # false for NaN and infinity, too
