"""Whether answers look: captions against what is there, and answers against a shortcut.

>>> facts_said("A small red star in the center. A large blue ring.", ["A small red star in the "
...     "center.", "A large blue ring at the top left."])
(1, 2, 2)

Where data says what its pictures show (`details.facts`), a caption's facts are counted; where it
says what a cue is (`details.cue`), answers that follow the cue are told from those that do not.
"""

import re
from collections.abc import Mapping, Sequence

from models.statistics import mean
from tasks.asking.answers import Grammar, keeps_contract, tagged_answer, tagged_caption
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.prompts import prompt
from tasks.records.rows import Sample
from tasks.rewards.caption_first import refuses
from tasks.rewards.typed import worth_by_type

REPLY_TOKENS = 12
_PARTS = re.compile(r",\s*|(?<=\.)\s+")


def facts_said(caption: str, facts: Sequence[str]) -> tuple[int, int, int]:
    """Return how many facts of a caption are there, how many it says, and how many there are."""
    said = parts_of(caption)
    left = [fact.strip() for fact in facts]
    right = 0
    for one in said:
        if one in left:
            left.remove(one)
            right += 1
    return right, len(said), len(facts)


def parts_of(caption: str) -> list[str]:
    """Return the facts that a caption lists, between commas or as sentences.

    >>> parts_of("tea 7, Total 9"), parts_of("A ring. A star.")
    (['tea 7', 'Total 9'], ['A ring.', 'A star.'])
    """
    return [part.strip() for part in _PARTS.split(caption.strip()) if part.strip()]


def worths(samples: Sequence[Sample], texts: Sequence[str]) -> list[float]:
    """Return what each answer is worth by the rule of its question, in [0, 1]."""
    return [
        worth_by_type(tagged_answer(text) or "", sample.final, _type(sample))
        for sample, text in zip(samples, texts, strict=True)
    ]


def look_measures(
    samples: Sequence[Sample], texts: Sequence[str], grammar: Grammar
) -> dict[str, float]:
    """Return how answers keep their grammar, follow cues, and what their captions say."""
    answers = [tagged_answer(text) for text in texts]
    found = {
        "layout": mean(keeps_contract(text, grammar) for text in texts),
        "empty": mean(not answer for answer in answers),
    }
    cued = [
        (answer or "", sample) for answer, sample in zip(answers, samples, strict=True)
        if sample.details.get("cue") and not sample.details["cue_right"]
    ]  # fmt: skip
    if cued:
        found["follows_wrong_cue"] = mean(a == sample.details["cue"] for a, sample in cued)
    counted = [
        facts_said(tagged_caption(text) or "", sample.details["facts"])
        for text, sample in zip(texts, samples, strict=True)
        if grammar == "caption_first" and sample.details.get("facts")
    ]
    if counted:
        right, said, there = (sum(values) for values in zip(*counted, strict=True))
        found |= {"fact_precision": right / max(1, said), "fact_recall": right / max(1, there)}
    return {name: float(value) for name, value in found.items() if value is not None}


WITNESSED = ("from_caption", "from_nothing", "from_another")


def testimony(
    witness: Asker, samples: Sequence[Sample], texts: Sequence[str]
) -> dict[str, list[str]]:
    """Return what a witness replies from captions, from nothing, and from another one's caption."""
    captions = [tagged_caption(text) or "" for text in texts]
    given = (captions, [""] * len(texts), captions[1:] + captions[:1])
    return {
        name: _replies(witness, samples, some) for name, some in zip(WITNESSED, given, strict=True)
    }


def witness_measures(
    samples: Sequence[Sample], replies: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return how often such replies are right, and how often captions are refused."""
    found = {
        f"right_{name}": mean(
            0.0 if refuses(reply) else worth_by_type(reply, sample.final, _type(sample))
            for reply, sample in zip(some, samples, strict=True)
        )
        for name, some in replies.items()
    }
    found["refused"] = mean(refuses(reply) for reply in replies["from_caption"])
    return {name: float(value) for name, value in found.items() if value is not None}


def _replies(witness: Asker, samples: Sequence[Sample], captions: Sequence[str]) -> list[str]:
    asked = [
        question(prompt("reason/witness", question=bare(sample), caption=caption))
        for sample, caption in zip(samples, captions, strict=True)
    ]
    replies = witness.ask(asked, max_new_tokens=REPLY_TOKENS, title="asking the witness")
    return [reply.text.strip() for [reply] in replies]


def bare(sample: Sample) -> str:
    """Return a question without the words that ask for a grammar."""
    return str(sample.details.get("bare") or sample.prompt)


def _type(sample: Sample) -> str:
    return str(sample.details.get("problem_type") or "")
