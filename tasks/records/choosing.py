"""Takes a part of what there is: something of every kind, in order, and the same part every time.

240 of 200 chart, 120 table and 120 receipt questions are 80 of each, spread over their files. The
first 240 would hold no receipt, and every second one far more charts than the rest.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Kind = Callable[[Any], Hashable]
Fewer = dict[str, list[int]]  # settings that could not be met: what they say, and what there was


def task_of(sample: Any) -> Hashable:
    """Return what kind of question a sample is."""
    return sample.task


def spread(items: Sequence[T], number: int, kind: Kind = task_of) -> list[T]:
    """Return at most `number` items, as evenly over the kinds as there are enough, in their order.

    >>> spread("aaaaaabbbc", 6, kind=str)
    ['a', 'a', 'a', 'b', 'b', 'c']
    """
    places = _places(items, kind)
    shares = _shares({name: len(held) for name, held in places.items()}, number)
    return _taken(items, places, shares)


def of_each(items: Sequence[T], number: int, kind: Kind = task_of) -> list[T]:
    """Return at most `number` items of every kind, in their order.

    >>> of_each("aaaabbc", 2, kind=str)
    ['a', 'a', 'b', 'b', 'c']
    """
    places = _places(items, kind)
    return _taken(items, places, {name: min(number, len(held)) for name, held in places.items()})


def hold_out(
    items: Sequence[T], most: int, kind: Kind = task_of, share: float = 0.1
) -> tuple[list[T], list[T]]:
    """Part items into those to learn from and a share of every kind to look at, at most `most`.

    One item alone is learnt from, and none is looked at.
    """
    number = min(most, max(1, round(share * len(items)))) if len(items) > 1 else 0
    held = set(spread(range(len(items)), number, kind=lambda i: kind(items[i])))
    return [x for i, x in enumerate(items) if i not in held], [items[i] for i in sorted(held)]


def fewer(setting: str, wanted: int, found: int) -> Fewer:
    """Say that a setting cannot be met, and return it for the summary; nothing where it is met."""
    if found >= wanted:
        return {}
    print(f"{setting} is {wanted}, but there are only {found}: all of them are used", flush=True)
    return {setting: [wanted, found]}


def fewer_of_each(setting: str, wanted: int, items: Sequence[Any], kind: Kind = task_of) -> Fewer:
    """Say of which kinds there are fewer than a setting wants, in one line; see `fewer`."""
    short = {name: len(held) for name, held in _places(items, kind).items() if len(held) < wanted}
    if short:
        told = ", ".join(f"{name} {n}" for name, n in short.items())
        print(f"{setting} is {wanted}, but there are fewer: {told}", flush=True)
    return {f"{setting} ({name})": [wanted, n] for name, n in short.items()}


def _places(items: Sequence[Any], kind: Kind) -> dict[Hashable, list[int]]:
    places: dict[Hashable, list[int]] = {}
    for i, item in enumerate(items):
        places.setdefault(kind(item), []).append(i)
    return places


def _shares(sizes: dict[Hashable, int], number: int) -> dict[Hashable, int]:
    """Share a number out: small kinds give all they have, the others the same but for one."""
    shares: dict[Hashable, int] = {}
    # the smallest first, so that what it lacks goes to the others; of equals the last, so that
    # the first kinds get the ones that are left over
    for name in sorted(reversed(sizes), key=lambda name: sizes[name]):
        shares[name] = min(sizes[name], number // (len(sizes) - len(shares)))
        number -= shares[name]
    return shares


def _taken(
    items: Sequence[T], places: dict[Hashable, list[int]], shares: dict[Hashable, int]
) -> list[T]:
    chosen = [
        held[i * len(held) // shares[name]]
        for name, held in places.items()
        for i in range(shares[name])
    ]
    return [items[i] for i in sorted(chosen)]
