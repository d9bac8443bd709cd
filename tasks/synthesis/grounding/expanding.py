"""A model's own chains, of those whose answer is right and whose every box reads back.

Specification of GCoT, section 3, step G: described by the authors, and absent from their release.
"""

from collections.abc import Sequence

from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.coordinates import Coordinates
from tasks.records.rows import Sample
from tasks.rewards.facts import boxed_words
from tasks.rewards.values import number_in
from tasks.synthesis.grounding.chains import asked, judged
from tasks.synthesis.grounding.locating import TOO_LARGE, UNREADABLE, Proposal, Reading, read_back
from tasks.synthesis.grounding.targets import Target


def own_chains(
    asker: Asker,
    samples: Sequence[Sample],
    *,
    words: str,
    coordinates: Coordinates,
    most: int,
    attempts: int,
    temperature: float,
    max_new_tokens: int,
    reading: Reading,
    seed: int,
) -> list[tuple[Sample, str]]:
    """Return at most so many distinct chains of each question."""
    replies = asker.ask(
        [question(asked(sample, words), sample.images) for sample in samples],
        max_new_tokens=max_new_tokens, samples=attempts, temperature=temperature, seed=seed,
        title="own chains",
    )  # fmt: skip
    right = [
        (sample, text, boxed(sample, text, coordinates, reading.largest_share))
        for sample, group in zip(samples, replies, strict=True)
        for text in dict.fromkeys(reply.text for reply in group)
        if not judged(sample, text).dropped
    ]
    every = [proposal for *_, some in right for proposal in some]
    read = iter(read_back(asker, every, reading))
    kept: dict[str, list[tuple[Sample, str]]] = {}
    for sample, text, some in right:
        verified = [not next(read).failed for _ in some]
        held = kept.setdefault(sample.id, [])
        if verified and all(verified) and len(held) < most:
            held.append((sample, text))
    return [chain for held in kept.values() for chain in held]


def boxed(
    sample: Sample, text: str, coordinates: Coordinates, largest_share: float
) -> list[Proposal]:
    """Return the words of a chain's reasoning that carry a box, as if they had been proposed."""
    frame, found = coordinates.frame(sample.size), []
    for word, box, match in boxed_words(text, frame):
        failed = "" if box else UNREADABLE
        if box and box.area > largest_share * frame[0] * frame[1]:
            failed = TOO_LARGE
        kind = "text" if number_in(word) is None else "number"
        target = Target(word, kind, match.start(1), match.end(1))
        found.append(Proposal(sample, target, match[2], box, failed=failed))
    return found
