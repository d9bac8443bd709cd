"""Reads what models write: tagged answers, thoughts, and lists of boxes with confidences.

Only the strict reading of the Visual-RFT specification (section 5): exactly one answer pair, a
literal parser and never `eval`, no repairs, and one malformed element invalidates the whole answer.
"""

import ast
import math
import re
from dataclasses import dataclass

from tasks.boxes import Box

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_CONTRACT = re.compile(r"<think>.*?</think>\s*<answer>.*?</answer>", re.DOTALL)
_NOTHING = re.compile(r"""["']?no objects?["']?\.?""", re.IGNORECASE)
_FOUR_NUMBERS = re.compile(r"\[\s*(-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?){3})\s*\]")
BOX_KEYS = ("bbox_2d", "Position", "bbox")
CONFIDENCE_KEYS = ("confidence", "Confidence", "score")


@dataclass(frozen=True)
class Detection:
    """A predicted box; `confidence` is in 0..1."""

    box: Box
    confidence: float
    label: str = ""


def keeps_contract(text: str) -> bool:
    """True if the whole text is one thought and then one answer, each tag exactly once."""
    return bool(_CONTRACT.fullmatch(text)) and all(text.count(tag) == 1 for tag in TAGS)


def tagged_answer(text: str) -> str | None:
    """Return the content of the one answer pair, or None if there is none or more than one.

    >>> tagged_answer("<think>2 + 2</think><answer> 4 </answer>")
    '4'
    """
    found = _ANSWER.findall(text)
    return found[0].strip() if len(found) == 1 and text.count("<answer>") == 1 else None


def tagged_thought(text: str) -> str:
    """Return what stands between the think tags, or nothing."""
    match = re.search(r"<think>(.*?)</think>", text, re.DOTALL)
    return match[1] if match else ""


def detections(payload: str, frame: tuple[float, float]) -> list[Detection] | None:
    """Read a list of boxes with confidences; None if anything about it is malformed.

    "No objects" and an empty list mean no detections. A position that is named twice counts once.

    Args:
        payload: The answer without its tags.
        frame: The frame that the model writes coordinates in.
    """
    payload = payload.strip()
    if _NOTHING.fullmatch(payload):
        return []
    try:
        items = ast.literal_eval(payload)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    if not isinstance(items, list):
        return None
    found: dict[tuple, Detection] = {}
    for item in items:
        detection = _detection(item, frame)
        if detection is None:
            return None
        found.setdefault(
            (detection.box.x0, detection.box.y0, detection.box.x1, detection.box.y1), detection
        )
    return list(found.values())


def first_box(text: str, frame: tuple[float, float]) -> Box | None:
    """Return the first `[x0, y0, x1, y1]` in a text if it is a valid box."""
    match = _FOUR_NUMBERS.search(text)
    if not match:
        return None
    x0, y0, x1, y1 = (float(v) for v in match[1].split(","))
    box = Box(x0, y0, x1, y1, frame)
    return box if box.valid else None


def _detection(item: object, frame: tuple[float, float]) -> Detection | None:
    if not isinstance(item, dict):
        return None
    corners = next((item[key] for key in BOX_KEYS if key in item), None)
    confidence = next((item[key] for key in CONFIDENCE_KEYS if key in item), None)
    if not isinstance(corners, list | tuple) or len(corners) != 4:
        return None
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        return None
    if not all(_is_number(v) for v in (*corners, confidence)):
        return None
    x0, y0, x1, y1 = corners
    if not (x0 < x1 and y0 < y1):
        return None
    label = item.get("label", "")
    return Detection(
        Box(x0, y0, x1, y1, frame), float(confidence), label if isinstance(label, str) else ""
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
