"""Finds the box of every fact of a chain, and lets the model read it back.

Specification of GCoT (arXiv 2507.02859), section 3, steps C1 and C2. A box counts if what the model
reads there is what it was looking for. Read on the crop alone by default: by coordinates, as
published, the embedded model passes 25 of 36 boxes that hardly overlap the truth, on the crop 4.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tasks.asking.answers import first_box
from tasks.asking.asker import Asker
from tasks.asking.conversation import Conversation, question
from tasks.asking.coordinates import Coordinates
from tasks.prompts import prompt
from tasks.records.boxes import Box, written
from tasks.records.images import crop, open_image, to_png, zoomed
from tasks.records.rows import Sample
from tasks.synthesis.grounding.bank import Key
from tasks.synthesis.grounding.readback import same_reading
from tasks.synthesis.grounding.targets import Target

Verify = Literal["crop", "coordinates", "both"]
Crops = Literal["page", "zoomed"]
LOCATE_TOKENS, READ_TOKENS = 32, 24
UNREADABLE, TOO_LARGE, READ_OTHERWISE = "no box", "box too large", "something else is read there"
UNANSWERED = "not asked"


@dataclass(frozen=True)
class Reading:
    """How boxes are found and read back.

    Attributes:
        verify: What is shown when a box is read: the crop, the page with its coordinates, or both.
        largest_share: Of the picture that a box may take; a larger one would pass any reading.
        margin: Around a crop, as a share of its box.
        crops: Laid on an empty page, or enlarged, for models of dynamic resolution.
    """

    verify: Verify = "crop"
    largest_share: float = 0.25
    margin: float = 0.25
    crops: Crops = "page"


@dataclass(frozen=True)
class Proposal:
    """Where a model says that a target stands.

    Attributes:
        text: What it wrote.
        box: In the model's frame; None where there is no valid one.
        readbacks: What it read there, by the way of reading.
        failed: Why the box does not count; "" where it does.
    """

    sample: Sample
    target: Target
    text: str
    box: Box | None
    readbacks: tuple[tuple[str, str], ...] = ()
    failed: str = ""

    @property
    def key(self) -> Key:
        """The sample's id and the target."""
        return self.sample.id, self.target.text


def locate_words(target: str) -> str:
    """Return how a target is asked for, in asking and in training."""
    return prompt("ground/locate_text", text=target)


def locate(
    asker: Asker,
    wanted: Sequence[tuple[Sample, Target]],
    coordinates: Coordinates,
    largest_share: float,
) -> list[Proposal]:
    """Ask where every target stands."""
    replies = asker.ask(
        [question(locate_words(target.text), sample.images) for sample, target in wanted],
        max_new_tokens=LOCATE_TOKENS, title="locating",
    )  # fmt: skip
    found = []
    for (sample, target), [reply] in zip(wanted, replies, strict=True):
        frame = coordinates.frame(sample.size)
        box = first_box(reply.text, frame)
        failed = UNANSWERED if reply.unanswered else "" if box else UNREADABLE
        if box and box.area > largest_share * frame[0] * frame[1]:
            failed = TOO_LARGE
        found.append(Proposal(sample, target, reply.text, box, failed=failed))
    return found


def read_back(asker: Asker, proposals: Sequence[Proposal], reading: Reading) -> list[Proposal]:
    """Let the model read every box that may count; what it reads there decides."""
    both = reading.verify == "both"
    ways = ("crop", "coordinates") if both else (reading.verify,)
    places = [i for i, proposal in enumerate(proposals) if not proposal.failed]
    read: dict[int, list[tuple[str, str]]] = {i: [] for i in places}
    for way in ways:
        asks = [_asked(proposals[i], way, reading) for i in places]
        replies = asker.ask(asks, max_new_tokens=READ_TOKENS, title=f"reading back by {way}")
        for i, [reply] in zip(places, replies, strict=True):
            read[i].append((way, reply.text))
    return [
        _verified(proposal, read[i]) if i in read else proposal
        for i, proposal in enumerate(proposals)
    ]


def _verified(proposal: Proposal, read: list[tuple[str, str]]) -> Proposal:
    same = all(same_reading(text, proposal.target.text) for _, text in read)
    return replace(proposal, readbacks=tuple(read), failed="" if same else READ_OTHERWISE)


def _asked(proposal: Proposal, way: str, reading: Reading) -> Conversation:
    sample, box = proposal.sample, proposal.box
    if box is None:
        raise ValueError("a proposal without a box cannot be read back")
    if way == "crop":
        show = zoomed if reading.crops == "zoomed" else crop
        shown = show(open_image(sample.images[0]), box, reading.margin)
        return question(prompt("ground/read_crop"), [to_png(shown)])
    words = prompt("ground/read_box", box=str(written(box, box.frame)))
    return question(words, sample.images)


def counted(proposals: Sequence[Proposal]) -> dict[str, float]:
    """Return the counts of a pass: proposed, why boxes failed, verified, and their ratio.

    `ratio` is the verified share of all targets (ρ); of no target there is none.
    """
    failed = Counter(proposal.failed for proposal in proposals)
    counts = {
        "proposed": float(len(proposals)),
        "parsable": float(sum(proposal.box is not None for proposal in proposals)),
        "too_large": float(failed[TOO_LARGE]),
        "verified": float(failed[""]),
    }
    return counts | ({"ratio": failed[""] / len(proposals)} if proposals else {})
