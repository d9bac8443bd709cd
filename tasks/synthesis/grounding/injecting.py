"""Writes boxes into a chain of thought, behind the words that they belong to."""

from collections.abc import Mapping

from tasks.rewards.values import number_in
from tasks.synthesis.grounding.targets import LONGEST, reasoning_end
from tasks.synthesis.tagging import words_of


def inject(chain: str, boxes: Mapping[str, str]) -> str:
    """Return a chain with boxes behind the first stand-alone occurrence of their targets.

    Specification of GCoT, sections 3 (step E) and 5, with the repairs of section 8: by characters
    and not by words between spaces (8.8), a number matches however it is set (8.6), nothing after
    the marker of the answer (8.7). Each box is written once, and nothing else is changed.

    >>> inject("At $325, demand is 20 (20). Answer: 20", {"325": "[1, 2, 3, 4]", "20": "[5]"})
    'At $325 [1, 2, 3, 4], demand is 20 [5] (20). Answer: 20'

    Args:
        boxes: By target, as the model writes them.
    """
    if len(chain) > LONGEST:
        return chain
    places: dict[int, str] = {}
    words = [word for word in words_of(chain) if word.end <= reasoning_end(chain)]
    taken: set[int] = set()
    for target, box in sorted(boxes.items(), key=lambda item: item[0]):
        number = number_in(target)
        free = [
            word for word in words
            if word.end not in taken
            and (word.text == target or number is not None and number_in(word.text) == number)
        ]  # fmt: skip
        if target and free and "\n" not in box:
            taken.add(free[0].end)
            places[free[0].end] = box
    written, last = [], 0
    for place, box in sorted(places.items()):
        written += [chain[last:place], f" {box}"]
        last = place
    return "".join(written) + chain[last:]
