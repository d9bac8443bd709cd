"""Asks a judge to think before its verdict: pairs in both orders, their traces read and held apart.

>>> pair = Judgement("1", "A red ring", (b"1", b"2"), task="image_generation")
>>> asked_to_think(pair, ("Colors",))[0].text.splitlines()[0]
'Caption: A red ring'

After UnifiedReward-Think (arXiv 2505.03318). The dimensions of a pair are those that are asked for,
or its own (`details.dimensions`), or those of the paper; a trace may name more of them or fewer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.asking.answers import Malformed
from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, Conversation, question
from tasks.judging.judge import Verdict
from tasks.judging.traces import Trace, parse_trace
from tasks.prompts import prompt
from tasks.records.judgements import OTHER, A, B, Judgement

Dimensions = Sequence[str]
DIMENSIONS: Mapping[str, Dimensions] = {  # specification, section 3
    "image_generation": ("Semantic consistency", "Aesthetics", "Authenticity"),
    "video_generation": ("Semantic consistency", "Temporal coherence", "Authenticity"),
    "image_understanding": ("Semantic accuracy", "Correctness", "Clarity"),
    "video_understanding": ("Semantic accuracy", "Correctness", "Clarity"),
}
MOST_PICTURES = 8  # of a pair; of more, four of each candidate are shown


@dataclass(frozen=True)
class Thought:
    """What a judge wrote about a pair in one order.

    Attributes:
        trace: What it says; None where the layout is broken.
        winner: "A" or "B" in the pair's own order; None where there is no trace.
        reason: Why there is no trace.
    """

    answer: Answer
    trace: Trace | None
    winner: str | None
    reason: str = ""


def dimensions_of(judgement: Judgement, wanted: Dimensions = ()) -> Dimensions:
    """Return the dimensions that a pair is scored on."""
    return wanted or judgement.details.get("dimensions") or DIMENSIONS[judgement.task]


def asked_to_think(judgement: Judgement, wanted: Dimensions = ()) -> Conversation:
    """Return what a judge is asked that is to think; the pictures are shown before the words.

    Args:
        wanted: Dimensions; those of the pair without any.
    """
    j = shortened(judgement)
    a, b = (*j.responses, "", "")[:2]
    dimensions = dimensions_of(j, wanted)
    values = {
        "question": j.prompt, "a": a, "b": b, "frames": str(len(j.sides[0])),
        "dimensions": ", ".join(dimensions), "first": dimensions[0],
    }  # fmt: skip
    match j.task:
        case "image_generation":
            words = prompt("judge/think_image_generation", **values)
        case "video_generation":
            words = prompt("judge/think_video_generation", **values)
        case "image_understanding":
            words = prompt("judge/think_image_understanding", **values)
        case _:
            words = prompt("judge/think_video_understanding", **values)
    return question(words, j.media)


def think_pairs(
    judge: Asker,
    pairs: Sequence[Judgement],
    *,
    max_new_tokens: int,
    wanted: Dimensions = (),
    samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    title: str = "thinking about pairs",
) -> list[tuple[list[Thought], list[Thought]]]:
    """Return the thoughts about every pair: so many as it stands, and so many the other way round.

    Args:
        wanted: Dimensions; those of each pair without any.
        samples: Thoughts in each order.
    """
    shown = [order for pair in pairs for order in (pair, pair.swapped())]
    replies = judge.ask(
        [asked_to_think(j, wanted) for j in shown],
        max_new_tokens=max_new_tokens, samples=samples, temperature=temperature, seed=seed,
        title=title,
    )  # fmt: skip
    found = [
        [thought_of(answer, j.task, turned=bool(i % 2)) for answer in answers]
        for i, (j, answers) in enumerate(zip(shown, replies, strict=True))
    ]
    return list(zip(found[::2], found[1::2], strict=True))


def thought_of(answer: Answer, task: str, turned: bool) -> Thought:
    """Return what an answer says of a pair.

    Args:
        turned: The pair was shown the other way round.
    """
    if answer.unanswered:
        return Thought(answer, None, None, answer.unanswered)
    try:
        trace = parse_trace(answer.text, task)
    except Malformed as reason:
        cut = answer.ended == "limit"
        return Thought(answer, None, None, "cut off" if cut else str(reason))
    return Thought(answer, trace, OTHER[trace.winner] if turned else trace.winner)


def majority(thoughts: Sequence[Thought]) -> str | None:
    """Return the winner that most thoughts name, "A" or "B"; None where as many name either."""
    named = [thought.winner for thought in thoughts]
    first, second = named.count(A), named.count(B)
    return None if first == second else A if first > second else B


def shortened(judgement: Judgement) -> Judgement:
    """Return a pair of generated clips with four pictures of each, where it has more than eight."""
    if not judgement.generated or len(judgement.media) <= MOST_PICTURES:
        return judgement
    kept = pair_frames(len(judgement.media))
    return replace(judgement, media=tuple(judgement.media[i] for i in kept))


def pair_frames(number: int) -> list[int]:
    """Return the places of the pictures of a pair that are shown (specification, section 2).

    >>> pair_frames(8), pair_frames(16)
    ([0, 1, 2, 3, 4, 5, 6, 7], [0, 2, 4, 6, 8, 10, 12, 14])
    """
    if number <= MOST_PICTURES:
        return list(range(number))
    half, each = number // 2, MOST_PICTURES // 2
    return [start + i * half // each for start in (0, half) for i in range(each)]


def reasoned_verdicts(
    judge: Asker,
    pairs: Sequence[Judgement],
    *,
    max_new_tokens: int,
    wanted: Dimensions = (),
    title: str = "thinking about pairs",
) -> list[Verdict]:
    """Judge every pair in both orders, after a trace: what `judge_pairs` does without one.

    A trace tells no probability: the preference is 1, 0, or a half where the orders disagree.
    """
    thoughts = think_pairs(judge, pairs, max_new_tokens=max_new_tokens, wanted=wanted, title=title)
    return [verdict_of(straight, turned) for [straight], [turned] in thoughts]


def verdict_of(straight: Thought, turned: Thought) -> Verdict:
    """Return what two thoughts say together, one in each order."""
    winners = straight.winner, turned.winner
    preference = None
    if None not in winners:
        preference = winners.count(A) / len(winners)
    return Verdict(
        winners, preference, (straight.answer.text, turned.answer.text),
        straight.answer.tokens + turned.answer.tokens,
        straight.answer.seconds + turned.answer.seconds,
        straight.answer.unanswered or turned.answer.unanswered,
    )  # fmt: skip


def voted(thoughts: tuple[Sequence[Thought], Sequence[Thought]], votes: int) -> str | None:
    """Return the winner that most of so many thoughts name, taken from both orders in turn."""
    in_turn = [one for both in zip(*thoughts, strict=True) for one in both]
    return majority(in_turn[:votes])
