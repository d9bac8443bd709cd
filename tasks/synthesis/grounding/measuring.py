"""How well a model answers questions about documents, and how true what it writes on the way is.

Exact accuracy is by value (`same_value`); relaxed accuracy and ANLS stand beside it (specification
of GCoT, section 7). What only boxes can tell: the share of written facts that are true, answers
that are right with every written fact true, and answers that are right for wrong reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from models.statistics import compare, interval, known, told
from tasks.asking.answers import short_answer
from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, question
from tasks.asking.coordinates import Coordinates
from tasks.records.boxes import boxes_from
from tasks.records.rows import Sample
from tasks.rewards.facts import stands_there
from tasks.rewards.values import anls, relaxed_correct, same_value
from tasks.synthesis.grounding.chains import asked, reference_of
from tasks.synthesis.grounding.expanding import boxed
from tasks.synthesis.grounding.locating import Proposal


@dataclass(frozen=True)
class Reasoned:
    """An answer about a document.

    Attributes:
        said: The short answer in it.
        facts: Its words with boxes, and whether each is true: the text stands in the picture, at
            that place. None where the data does not say what stands there.
    """

    text: str
    said: str
    exact: float
    relaxed: float
    anls: float
    facts: tuple[tuple[Proposal, bool | None], ...]
    unanswered: str = ""

    @property
    def faithful(self) -> float | None:
        """Whether the answer is right and every written fact is true; None if that is unknown."""
        truths = [true for _, true in self.facts]
        return None if not truths or None in truths else float(self.exact and all(truths))


def reason(
    asker: Asker, samples: Sequence[Sample], words: str, coordinates: Coordinates,
    max_new_tokens: int, title: str,
) -> list[Reasoned]:  # fmt: skip
    """Ask questions about documents, in words that ask for reasoning or, with "", plainly."""
    replies = asker.ask(
        [question(asked(s, words) if words else s.prompt, s.images) for s in samples],
        max_new_tokens=max_new_tokens, title=title,
    )  # fmt: skip
    return [
        reasoned(sample, reply, coordinates)
        for sample, [reply] in zip(samples, replies, strict=True)
    ]


def reasoned(sample: Sample, reply: Answer, coordinates: Coordinates) -> Reasoned:
    """Return what an answer says and what it is worth; one that could not be given is wrong."""
    if reply.unanswered:
        return Reasoned("", "", 0.0, 0.0, 0.0, (), reply.unanswered)
    said, true = short_answer(reply.text), reference_of(sample)
    texts = sample.details.get("texts")
    facts = tuple((p, is_true(p, texts)) for p in boxed(sample, reply.text, coordinates, 1.0))
    return Reasoned(
        reply.text, said, float(same_value(said, true)), float(relaxed_correct(said, true)),
        anls(said, [true]), facts,
    )  # fmt: skip


def is_true(proposal: Proposal, texts: Sequence | None) -> bool | None:
    """Return whether a text stands where a box says; None where nobody knows.

    Args:
        texts: What stands in the picture, each with its corners in pixels.
    """
    if texts is None:
        return None
    there = boxes_from([corners for _, corners in texts], proposal.sample.size)
    known = zip((str(text) for text, _ in texts), there, strict=True)
    return stands_there(proposal.target.text, proposal.box, known)


def measured(answers: Sequence[Reasoned]) -> dict[str, float]:
    """Return the means of answers; what nothing is known of is left out."""
    facts = [true for answer in answers for _, true in answer.facts if true is not None]
    faithful = [value for answer in answers if (value := answer.faithful) is not None]
    right = [a for a in answers if a.exact and a.faithful is not None]
    return known(
        {
            "n": float(len(answers)),
            "exact": fmean(a.exact for a in answers) if answers else None,
            "relaxed": fmean(a.relaxed for a in answers) if answers else None,
            "anls": fmean(a.anls for a in answers) if answers else None,
            "facts": fmean(len(a.facts) for a in answers) if answers else None,
            "fact_errors": 1 - fmean(facts) if facts else None,
            # of all answers: one without any fact shows nothing
            "faithful": sum(faithful) / len(answers) if faithful else None,
            "right_for_wrong_reasons": fmean(1 - (a.faithful or 0) for a in right)
            if right else None,
            "unanswered": float(sum(bool(a.unanswered) for a in answers)),
        }
    )  # fmt: skip


def table(
    answers: dict[str, list[Reasoned]], resamples: int, seed: int
) -> dict[str, dict[str, object]]:
    """Return the measures of every way of asking, its interval, and the last one's comparisons.

    Args:
        answers: By name, to the same questions; the last is what the others are compared with.
    """
    last = list(answers)[-1]
    values = {name: np.array([a.exact for a in held]) for name, held in answers.items()}
    rows: dict[str, dict[str, object]] = {}
    tests = {}
    for name, held in answers.items():
        found = interval(values[name], resamples, seed)
        rows[name] = {"measures": measured(held)}
        if found:
            rows[name] |= {"low": found.low, "high": found.high}
        test = compare(values[last], values[name], resamples, seed) if name != last else None
        if test:
            tests[name] = test
    for name, facts in zip(tests, told(list(tests.values())), strict=True):
        rows[name]["after"] = facts
    return rows
