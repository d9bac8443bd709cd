"""Chains of thought about lessons, distilled from a teacher; one is kept if its answer is right.

Specification of GCoT (arXiv 2507.02859), section 3, step A. The teacher is any model that can be
asked, or the data's own `cot`. What a chain says on its way to a right answer may be wrong all the
same: that is what boxes are for.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.asking.answers import MARKER, marked_answer
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.prompts import prompt
from tasks.records.rows import Sample
from tasks.rewards.values import same_value
from tasks.synthesis.grounding.targets import reasoning_end

_BOX = re.compile(r"\s*\[\s*-?[\d.]+(?:\s*,\s*-?[\d.]+){3}\s*\]")
RIGHT = ""
NO_MARKER, SEVERAL_MARKERS, EMPTY, WRONG = (
    "no answer is marked", "several answers are marked", "nothing was said", "the answer is wrong",
)  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """A chain of thought about a lesson.

    Attributes:
        text: Without boxes, up to its end.
        dropped: Why it is not kept; "" where it is.
    """

    sample: Sample
    text: str
    dropped: str = RIGHT


def asked(sample: Sample, words: str) -> str:
    """Return a question with the words that ask for a chain; the same in asking and training.

    Args:
        words: `think_with_boxes`, which the embedded model knows, or `step_by_step`.
    """
    if words == "think_with_boxes":
        return prompt("ground/think_with_boxes", question=sample.prompt)
    return prompt("ground/reason", question=sample.prompt)


def without_boxes(chain: str) -> str:
    """Return a chain without the boxes in it.

    >>> without_boxes("H is 82 [76, 17, 88, 25], G is 65 [44, 29, 56, 38].")
    'H is 82, G is 65.'
    """
    return _BOX.sub("", chain)


def judged(sample: Sample, text: str) -> Chain:
    """Return a chain, and why it is dropped where it is: its answer is compared by value."""
    text = without_boxes(text).strip()
    if not text:
        return Chain(sample, "", EMPTY)
    said = marked_answer(text)
    if said is None:
        several = text.count("<answer>") > 1 or len(MARKER.findall(text)) > 1
        return Chain(sample, text, SEVERAL_MARKERS if several else NO_MARKER)
    right = same_value(said, reference_of(sample))
    return Chain(sample, text, RIGHT if right else WRONG)


def reference_of(sample: Sample) -> str:
    """Return the short true answer to a question."""
    return sample.final or sample.answer


def from_data(sample: Sample) -> Chain:
    """Return the chain that the data has for a sample (`cot`)."""
    return judged(sample, str(sample.details.get("cot", "")))


def distil(
    teacher: Asker,
    samples: Sequence[Sample],
    *,
    words: str,
    attempts: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> list[list[Chain]]:
    """Let a teacher reason about every sample; returns its distinct attempts, dropped ones too."""
    replies = teacher.ask(
        [question(asked(sample, words), sample.images) for sample in samples],
        max_new_tokens=max_new_tokens, samples=attempts, temperature=temperature, seed=seed,
        title="distilling chains",
    )  # fmt: skip
    found = []
    for sample, group in zip(samples, replies, strict=True):
        texts = [reply.text for reply in group if not reply.unanswered]
        chains = [judged(sample, text) for text in dict.fromkeys(texts)]
        lost = next((reply.unanswered for reply in group if reply.unanswered), "")
        found.append(chains or [Chain(sample, "", f"unanswered: {lost}")])
    return found


def kept(chains: Sequence[Chain]) -> list[Chain]:
    """Return the chains with a right answer."""
    return [chain for chain in chains if not chain.dropped]


def reasons(chains: Sequence[Chain]) -> dict[str, int]:
    """Return how many chains were dropped for each reason."""
    return dict(Counter(chain.dropped for chain in chains if chain.dropped).most_common())


def reasoning_of(chain: str) -> str:
    """Return a chain up to the marker of its answer."""
    return chain[: reasoning_end(chain)]
