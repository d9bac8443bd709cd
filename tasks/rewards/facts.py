"""Facts that carry boxes: what an answer says stands where, and whether it does.

>>> [(word, box, _)] = boxed_words("tea is 72 [10, 20, 30, 40]. Answer: 72", (100, 100))
>>> word, box.corners()
('72', [10, 20, 30, 40])
"""

import re
from collections.abc import Iterable, Sequence

from tasks.asking.answers import MARKER, first_box
from tasks.records.boxes import Box, Frame, boxes_from, iou
from tasks.rewards.text import content_of
from tasks.rewards.values import same_value

LONGEST = 20_000  # characters of a text; of a longer one nothing is read
HALF = 0.5  # overlap from which on a box points at its text
_FACT = re.compile(
    r"([^\s\[\]<>]{1,200})\s{1,4}(\[\s*-?[\d.]{1,20}(?:\s*,\s*-?[\d.]{1,20}){3}\s*\])"
)


def boxed_words(text: str, frame: Frame) -> list[tuple[str, Box | None, re.Match[str]]]:
    """Return the words of a text's reasoning that carry a box, and where; None for no valid box.

    Nothing after the marker of the answer is a fact.
    """
    if len(text) > LONGEST:
        return []
    answer = MARKER.search(text)
    reasoning = text[: answer.start()] if answer else text
    return [
        (match[1].strip(",.;:()"), first_box(match[2], frame), match)
        for match in _FACT.finditer(reasoning)
    ]


def stands_there(word: str, box: Box | None, texts: Iterable[tuple[str, Box]]) -> bool:
    """Return whether a text stands where a box says.

    Args:
        texts: What stands in the picture, and where.
    """
    return box is not None and any(
        same_value(text, word) and iou(there, box) >= HALF for text, there in texts
    )


def grounded_facts(
    completions: Sequence, texts: Sequence, frame: Sequence, **_: object
) -> list[float | None]:
    """Reward the share of written facts that stand where their boxes say, in [0, 1].

    An answer without any fact earns 0; None where nobody knows what stands in the picture.

    Args:
        texts: What stands in each picture, `text` and `corners` in the frame that the model writes.
        frame: That frame, per completion.
    """
    rewards: list[float | None] = []
    for completion, known, size in zip(completions, texts, frame, strict=True):
        if not known:
            rewards.append(None)
            continue
        boxes = boxes_from([one["corners"] for one in known], tuple(size))
        there = [(one["text"], box) for one, box in zip(known, boxes, strict=True)]
        facts = boxed_words(content_of(completion), tuple(size))
        true = [stands_there(word, box, there) for word, box, _ in facts]
        rewards.append(sum(true) / len(true) if true else 0.0)
    return rewards
