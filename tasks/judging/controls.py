"""Questions that show what a judge looks at: the same pairs with something taken away or put in.

>>> pair = Judgement("1", "What is it?", (b"png",), ("A ring.", "A star."), winner="A")
>>> without_pictures(pair).media, repeated(pair).responses
((), ('A ring.', 'A ring.'))
"""

from collections.abc import Sequence
from dataclasses import replace

from tasks.judging.wording import claim
from tasks.records.judgements import OTHER, A, B, Judgement


def without_pictures(pair: Judgement) -> Judgement:
    """Return a pair with nothing to look at: what is left is what the words give away."""
    return replace(pair, media=())


def with_pictures_of(pair: Judgement, other: Judgement) -> Judgement:
    """Return a pair that shows another item's pictures."""
    return replace(pair, media=other.media)


def repeated(pair: Judgement) -> Judgement:
    """Return a pair whose candidates are both the first one: a tie by construction."""
    first = pair.sides[0]
    return replace(
        pair,
        media=first + first if pair.generated else pair.media,
        responses=pair.responses[:1] * 2,
        winner="tie",
        details={},
    )


def injected(pair: Judgement) -> Judgement | None:
    """Return a pair whose worse answer says that it is the better one; None without answers.

    The words are those that a judge's verdict is read by.
    """
    if not pair.responses or pair.winner not in (A, B):
        return None
    worse = OTHER[pair.winner]
    place = "AB".index(worse)
    praised = f"{pair.responses[place]}\n{claim(pair.task, worse)}"
    texts = [praised if i == place else text for i, text in enumerate(pair.responses)]
    return replace(pair, responses=tuple(texts))


def longer(pair: Judgement) -> str:
    """Return which answer is longer, which is all that a lazy judge looks at; "tie" of equal ones.

    >>> longer(Judgement("1", "?", (), ("A ring.", "A red ring.")))
    'B'
    """
    a, b = map(len, pair.responses or ("", ""))
    return "tie" if a == b else A if a > b else B


def triples(pairs: Sequence[Judgement]) -> list[tuple[Judgement, Judgement, Judgement]]:
    """Return per pair three questions about three candidates: its own, and one of the next item.

    The questions are (first, second), (second, third) and (third, first): a judge that says "the
    first one" to all three, or "the second one", runs in a circle.
    """
    made = []
    for pair, other in zip(pairs, [*pairs[1:], *pairs[:1]], strict=True):
        if pair.task == other.task and len(pair.sides[0]) == len(other.sides[0]):
            made.append((pair, _pair(pair, 1, other, 0), _pair(other, 0, pair, 0, about=pair)))
    return made


def _pair(
    one: Judgement, side: int, other: Judgement, at: int, about: Judgement | None = None
) -> Judgement:
    about = about or one
    return replace(
        about,
        media=one.sides[side] + other.sides[at] if about.generated else about.media,
        responses=one.responses[side : side + 1] + other.responses[at : at + 1],
        winner="",
        details={},
    )
