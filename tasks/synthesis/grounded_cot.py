"""Grounded chains of thought: facts carry boxes, and a box stays only if its crop reads the same.

Follows GCoT (arXiv 2507.02859). The model reasons about a chart, table or receipt and names the box
of each fact; a chain is kept when its final answer is right, and a box is kept when the model,
shown only the crop, reads the same value. We differ in three places: the chain and its boxes come
from one sampled answer instead of a teacher's chain with boxes proposed afterwards; boxes are
verified on the crop instead of on coordinates in the prompt; boxes larger than a quarter of the
picture are rejected. The rounds of re-training are not part of this stage. Run it with `dvc repro
synthesis`.
"""

import re
from dataclasses import dataclass, replace

from models.statistics import known, mean
from tasks.asking.answers import first_box, keeps_contract, tagged_answer, tagged_thought
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.coordinates import Coordinates
from tasks.prompts import prompt
from tasks.records.boxes import Box, boxes_from, iou
from tasks.records.images import crop, open_image, to_png
from tasks.records.rows import Sample
from tasks.rewards.text import same_answer
from tasks.running.errors import UserError
from tasks.synthesis.grounding.readback import same_reading

LARGEST_SHARE = 0.25  # a larger box would pass the reading test without pointing at anything
_BOX = r"\[\d+(?:\.\d+)?(?:,\s*\d+(?:\.\d+)?){3}\]"
_FACT = re.compile(rf"(\S+)\s+({_BOX})")
_CUT = re.compile(rf"\s*({_BOX})")
WORTHWHILE = 0.01  # share of boxes verified; with less, the frame is wrong or crops are not read


@dataclass(frozen=True)
class Fact:
    """A word or number of a chain with the box that the model gave it.

    Attributes:
        place: Where the box ends in the chain: the same words may stand there twice.
        box: None when the box is malformed or too large.
        readback: What the model reads in the crop alone.
    """

    target: str
    place: int
    box: Box | None
    readback: str = ""

    @property
    def verified(self) -> bool:
        """True if the crop reads the same."""
        return self.box is not None and same_reading(self.readback, self.target)


@dataclass(frozen=True)
class Chain:
    """A kept chain of thought about one sample."""

    sample: Sample
    text: str
    facts: tuple[Fact, ...]

    @property
    def grounded(self) -> str:
        """The chain with the boxes of its thought that were not verified taken out.

        Words and punctuation stay as they are.
        """
        verified = {fact.place for fact in self.facts if fact.verified}
        start, end = _thought(self.text)
        thought = _CUT.sub(
            lambda match: match[0] if match.end() + start in verified else "", self.text[start:end]
        )
        return self.text[:start] + thought + self.text[end:]

    @property
    def verified(self) -> bool:
        """True if the chain has facts and all of them were verified."""
        return bool(self.facts) and all(fact.verified for fact in self.facts)


def facts_of(text: str, frame: tuple[float, float]) -> tuple[Fact, ...]:
    """Return the facts with boxes in a chain's thought, in order."""
    facts = []
    for match in _FACT.finditer(text, *_thought(text)):
        box = first_box(match[2], frame)
        if box and box.area > LARGEST_SHARE * frame[0] * frame[1]:
            box = None
        facts.append(Fact(match[1].strip(",.;:"), match.end(), box))
    return tuple(facts)


def _thought(text: str) -> tuple[int, int]:
    """Return where the thought starts and ends in a chain."""
    length = len(tagged_thought(text))
    start = text.index("<think>") + len("<think>") if length else 0
    return start, start + length


def synthesize_chains(
    asker: Asker,
    samples: list[Sample],
    *,
    coordinates: Coordinates,
    attempts: int,
    temperature: float,
    margin: float,
    max_new_tokens: int,
    seed: int,
) -> tuple[list[Chain], dict[str, float]]:
    """Sample chains for value questions and keep, per question, the best verified one.

    Args:
        samples: Questions with a short true answer about one picture.
        coordinates: What the model writes.
        margin: Margin around a box when its crop is shown.

    Returns:
        At most one chain per question, and the counts and precisions: `right_answers` (share of
        sampled chains), `proposed_boxes`, `verified_boxes`, `verified_share`, `yield` (share of
        questions with a chain whose every fact is verified), `unanswered` (questions that could
        not be asked; they count as wrong), and, where true boxes are known, `precision_proposed`
        and `precision_verified` (overlap above 0.5 with the true box). `largest_coordinate` is the
        largest number in a box. Shares of nothing are left out.
    """
    asked = [
        question(prompt("ground/think_with_boxes", question=s.prompt), s.images) for s in samples
    ]
    answers = asker.ask(
        asked, max_new_tokens=max_new_tokens, samples=attempts, temperature=temperature, seed=seed,
        title="reasoning with boxes",
    )  # fmt: skip
    chains = [
        Chain(sample, text, facts_of(text, coordinates.frame(sample.size)))
        for sample, attempt in zip(samples, answers, strict=True)
        for text in dict.fromkeys(answer.text for answer in attempt)
        if _right(text, sample)
    ]
    read = _read_crops(asker, chains, margin)
    best: dict[str, Chain] = {}
    for chain in read:
        held = best.get(chain.sample.id)
        if chain.facts and (held is None or (chain.verified and not held.verified)):
            best[chain.sample.id] = chain
    right = sum(_right(a.text, s) for s, group in zip(samples, answers, strict=True) for a in group)
    unanswered = sum(bool(group[0].unanswered) for group in answers)
    report = _report(read, best, right, len(samples), attempts)
    return list(best.values()), report | {"unanswered": float(unanswered)}


def check_yield(report: dict[str, float], coordinates: Coordinates) -> None:
    """Stop where nothing was verified: what follows would learn from it that boxes mean nothing.

    Args:
        report: What `synthesize_chains` returns.

    Raises:
        UserError: Under 1 % of the proposed boxes were verified, or none was proposed; with the
            likely reason.
    """
    proposed, verified = report["proposed_boxes"], report["verified_boxes"]
    if verified and verified >= WORTHWHILE * proposed:
        return
    if proposed:
        frame = f"0..{coordinates.relative}" if coordinates.relative else "pixels"
        raise UserError(
            f"Of {proposed:.0f} boxes that the model named, {verified:.0f} could be verified",
            f"boxes were taken for {frame} (`coordinates` {coordinates.relative}), and the largest "
            f"number in them is {report['largest_coordinate']:g}: the model may write another "
            "frame; or it cannot read what a box shows",
            "set `coordinates` to what the model writes (the embedded one 100, Qwen3-VL 1000, "
            "Qwen2.5-VL 0 for pixels), or change `model`",
        )
    if report.get("right_answers"):
        what, why = "No right chain of thought names a box", "there is nothing to verify"
    else:
        what = f"No chain of thought about {report['questions']:.0f} questions is right"
        why = (
            "none is a thought and then the true answer, each between its tags: the model does not "
            "know this form, or not the answers"
        )
    todo = "change `model`, or raise `synthesis.questions` or `synthesis.attempts`"
    raise UserError(what, why, todo)


def _right(text: str, sample: Sample) -> bool:
    final = tagged_answer(text)
    return keeps_contract(text) and final is not None and same_answer(final, sample.answer)


def _read_crops(asker: Asker, chains: list[Chain], margin: float) -> list[Chain]:
    crops = []
    for chain in chains:
        picture = open_image(chain.sample.images[0])
        crops += [
            question(prompt("ground/read_crop"), [to_png(crop(picture, fact.box, margin))])
            for fact in chain.facts
            if fact.box
        ]
    replies = iter(asker.ask(crops, max_new_tokens=24, title="reading crops"))
    return [
        Chain(
            chain.sample,
            chain.text,
            tuple(replace(f, readback=next(replies)[0].text) if f.box else f for f in chain.facts),
        )
        for chain in chains
    ]


def _report(
    chains: list[Chain], best: dict[str, Chain], right: int, questions: int, attempts: int
) -> dict[str, float]:
    facts = [(chain, fact) for chain in chains for fact in chain.facts]
    verified = [(chain, fact) for chain, fact in facts if fact.verified]
    shares: dict[str, float | None] = {
        "questions": float(questions),
        "right_answers": right / (questions * attempts) if questions else None,
        "proposed_boxes": float(len(facts)),
        "verified_boxes": float(len(verified)),
        "verified_share": mean(fact.verified for _, fact in facts),
        "yield": sum(c.verified for c in best.values()) / questions if questions else None,
        "largest_coordinate": max(map(_largest, chains), default=None) if facts else None,
    }
    for name, group in (("proposed", facts), ("verified", verified)):
        hits = [_points_at_truth(c.sample, f) for c, f in group if "texts" in c.sample.details]
        shares[f"precision_{name}"] = mean(hits)
    return known(shares)


def _largest(chain: Chain) -> float:
    boxes = _CUT.findall(tagged_thought(chain.text))
    return max((float(n) for box in boxes for n in box.strip("[]").split(",")), default=0.0)


def _points_at_truth(sample: Sample, fact: Fact) -> bool:
    if fact.box is None:
        return False
    true = [corners for text, corners in sample.details["texts"] if text == fact.target]
    return any(iou(box, fact.box) > 0.5 for box in boxes_from(true, sample.size))
