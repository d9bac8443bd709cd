"""Rewards of an answer that describes before it thinks: Visionary-R1.

    <info> Three bars: 4, 7 and 9. </info> <think> 9 is most. </think> <answer> 9 </answer>

keeps the layout; the caption suffices if a witness who sees it and no picture answers "9".

After arXiv 2505.14677 (specification, 4.3 and 4.4, strict): in the released code a caption that is
missing or has a line break moves the rewards behind it to other answers. A witness is asked before
the rewards are called; here is only what its replies are worth. The weight alpha stands with the
other weights, and nowhere else.
"""

import re
from collections.abc import Sequence

from tasks.asking.answers import keeps_contract, short_answer, tagged_caption
from tasks.rewards.text import content_of
from tasks.rewards.typed import worth_by_type

REFUSAL = "Hacking Sample"  # what a witness says of a caption that infers or answers
_BETWEEN = re.compile(r"[\s.]+")


def describes_then_answers(completions: Sequence, **_: object) -> list[float | None]:
    """Reward the layout of a caption, a thought and an answer, each tag once (0 or 1)."""
    return [
        float(keeps_contract(content_of(completion), "caption_first")) for completion in completions
    ]


def caption_suffices(
    completions: Sequence, reference: Sequence, problem_type: Sequence, replies: Sequence,
    number: Sequence, **_: object,
) -> list[float | None]:  # fmt: skip
    """Reward a caption from which the witness answers right, in [0, 1].

    An answer without a caption earns 0, and so does one whose caption the witness refuses. Where a
    caption could not be judged all answers to its question get None: TRL takes None for nothing,
    and would pay the others of the group for it.

    Args:
        reference: The true short answers; None where there is none.
        problem_type: How they are compared (see `worth_by_type`); None for exact values.
        replies: What the witness said from each caption; None where it could not be asked.
        number: Of the question; the answers to one are a group.
    """
    rows = zip(completions, reference, problem_type, replies, strict=True)
    return _whole_groups(
        [_judged(content_of(completion), *row) for completion, *row in rows], number
    )


def caption_adds(
    completions: Sequence, reference: Sequence, problem_type: Sequence, replies: Sequence,
    from_nothing: Sequence, number: Sequence, **_: object,
) -> list[float | None]:  # fmt: skip
    """Reward what a caption adds to what the witness says without one, in [0, 1].

    A question that it answers right from its text alone pays nothing to any caption. Otherwise as
    `caption_suffices`.

    Args:
        from_nothing: What the witness said from no caption, per answer; None where it is unknown.
    """
    earned = caption_suffices(completions, reference, problem_type, replies, number)
    rows = zip(earned, reference, problem_type, from_nothing, strict=True)
    return _whole_groups(
        [
            None if value is None or known is None else max(0.0, value - _worth(known, gold, kind))
            for value, gold, kind, known in rows
        ],
        number,
    )


def refuses(reply: str) -> bool:
    """Return whether a witness refused a caption; blanks, full stops and case do not count.

    >>> refuses(" hacking sample. "), refuses("It is a hacking sample")
    (True, False)
    """
    return _BETWEEN.sub("", reply).lower() == _BETWEEN.sub("", REFUSAL).lower()


def _judged(
    text: str, gold: str | None, problem_type: str | None, reply: str | None
) -> float | None:
    if not gold:
        return None
    if tagged_caption(text) is None:
        return 0.0
    return None if reply is None else _worth(reply, gold, problem_type)


def _worth(reply: str, gold: str, problem_type: str | None) -> float:
    return 0.0 if refuses(reply) else worth_by_type(short_answer(reply), gold, problem_type)


def _whole_groups(values: list[float | None], number: Sequence) -> list[float | None]:
    """Return None for all of a group where it stands for one of them."""
    pairs = list(zip(values, number, strict=True))
    unjudged = {group for value, group in pairs if value is None}
    return [None if group in unjudged else value for value, group in pairs]
