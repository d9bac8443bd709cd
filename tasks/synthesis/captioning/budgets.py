"""The curve of one run: what each budget takes of the same answers."""

from collections.abc import Mapping
from typing import Any

from tasks.synthesis.captioning.requests import Request
from tasks.synthesis.captioning.writing import Material


def named(budget: int) -> str:
    """Return what a budget is called.

    >>> named(0), named(4), named(-1)
    ('budget-0', 'budget-4', 'budget-all')
    """
    return f"budget-{'all' if budget < 0 else budget}"


def material_of(row: Mapping[str, Any], budget: int | None) -> Material:
    """Return what a caption is written from: the requests about the first so many objects.

    Args:
        row: Of the stage `objects`.
        budget: Objects; None for all.
    """
    objects = list(dict.fromkeys(one["object"] for one in row["requests"]))
    wanted = set(objects[:budget])
    some = [one for one in row["requests"] if one["object"] in wanted]
    requests = tuple(
        Request(one["object"], one["sentence"], one["kind"], one["text"]) for one in some
    )
    answers = {one["text"]: one["kept"] for one in some if one["kept"]}
    return Material(tuple(row["trusted"]), requests, answers)
