"""Rewards for pointing at the one thing that an expression means.

Follows Visual-RFT (arXiv 2503.01785) on LISA's data, strict semantics (specification 4.8): exactly
one box of integers in order and inside the frame, in exactly one answer pair. The released code
paid 26 instead of at most 2 for the whole picture with swapped corners.
"""

from collections.abc import Callable, Sequence

from tasks.asking.answers import Malformed, only_box, read_answer
from tasks.records.boxes import Box, boxes_from, giou, iou
from tasks.rewards.text import content_of


def answered_box(text: str, frame: tuple[float, float]) -> Box:
    """Read the one box inside the one answer pair.

    Raises:
        Malformed: There is no such pair, or it holds anything but one box.
    """
    return only_box(read_answer(text), frame)


def overlap_with_pointed_box(
    completions: Sequence, pointed: Sequence, frame: Sequence, **_: object
) -> list[float | None]:
    """Reward the overlap (IoU) of the answered box with the true one, in [0, 1].

    Args:
        pointed: True corners per completion in the frame that the model writes; None skips a row.
        frame: Width and height of that frame, per completion.
    """
    return _scores(iou, completions, pointed, frame)


def closeness_to_pointed_box(
    completions: Sequence, pointed: Sequence, frame: Sequence, **_: object
) -> list[float | None]:
    """Reward generalised overlap (GIoU) + 1, in [0, 2]: a near miss earns more than a far one.

    Takes what `overlap_with_pointed_box` takes; an unreadable answer earns 0.
    """
    return _scores(lambda box, true: giou(box, true) + 1, completions, pointed, frame)


def _scores(
    score: Callable[[Box, Box], float], completions: Sequence, pointed: Sequence, frame: Sequence
) -> list[float | None]:
    rewards: list[float | None] = []
    for completion, corners, size in zip(completions, pointed, frame, strict=True):
        if corners is None:
            rewards.append(None)
            continue
        try:
            box = answered_box(content_of(completion), tuple(size))
        except Malformed:
            rewards.append(0.0)
        else:
            rewards.append(score(box, boxes_from([corners], tuple(size))[0]))
    return rewards
