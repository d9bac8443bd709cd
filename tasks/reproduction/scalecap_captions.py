"""Makes the captions of all arms of ScaleCap's experiment, of the same drafts and answers.

Nothing here asks a model.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.reproduction.scalecap_arms import Arm
from tasks.rewards.captions import sentences
from tasks.synthesis.captioning.drafting import Evidence, Rating, trust
from tasks.synthesis.captioning.requests import plan_requests
from tasks.synthesis.captioning.writing import Material
from tasks.synthesis.captions import agreed


@dataclass(frozen=True)
class Choice:
    """How sentences are rated, as it was chosen on dev.

    Attributes:
        contrast, likely, nouns: With their thresholds; the last two rate by the picture alone.
    """

    contrast: Rating
    likely: Rating
    nouns: Rating


Picture = Mapping[str, Any]  # what was collected about one: `tasks.reproduction.scalecap`


def evidence_of(row: Mapping[str, Any]) -> Evidence:
    """Return a text's evidence as it was kept."""
    return Evidence(
        row["text"], tuple(row["tokens"]), tuple(row["seen"]), tuple(row["unseen"]), row["unrated"]
    )


def alone(one: Evidence) -> Evidence:
    """Return evidence that counts the picture's own log-probability: nothing is taken off it."""
    return Evidence(one.text, one.tokens, one.seen, (0.0,) * len(one.seen), one.unrated)


def material(arm: Arm, picture: Picture, choice: Choice, prefix: str, seed: int) -> Material:
    """Return what an arm's caption of a picture is written from."""
    kept = kept_sentences(arm, picture, choice)
    per_sentence = [picture["objects"].get(sentence, []) for sentence in kept]
    if arm.asked == "random":
        per_sentence = _random(per_sentence, picture, seed)
    budget = None if arm.budget < 0 else arm.budget
    requests = plan_requests(per_sentence if arm.asked else [], prefix, budget, arm.kinds)
    answers = {one.text: _answer(arm, picture["answers"][one.text], choice) for one in requests}
    return Material(tuple(kept), tuple(requests), answers)


def kept_sentences(arm: Arm, picture: Picture, choice: Choice) -> list[str]:
    """Return the sentences that an arm trusts; all of the draft where it trusts none."""
    draft = evidence_of(picture["draft"])
    if arm.kept == "agreed":
        return agreed(picture["samples"]) or sentences(draft.text)
    if arm.kept in ("all", "true"):
        there = picture["true"] if arm.kept == "true" else {}
        said = sentences(draft.text)
        return [sentence for sentence in said if there.get(sentence, True)] or said
    one, how = {
        "contrast": (draft, choice.contrast), "published": (draft, Rating("prob", "max", 0.0)),
        "likely": (alone(draft), choice.likely), "nouns": (alone(draft), choice.nouns),
    }[arm.kept]  # fmt: skip
    found = trust(one, how)
    return sentences(draft.text) if found.whole else list(found.sentences)


def longer(picture: Picture, words: int) -> str:
    """Return a draft with further sentences of samples, until it has as many words."""
    said = sentences(picture["draft"]["text"])
    more = dict.fromkeys(s for text in picture["samples"] for s in sentences(text))
    for sentence in more:
        if len(" ".join(said).split()) >= words:
            break
        if sentence not in said:
            said.append(sentence)
    return ". ".join(said) + "." if said else ""


def _random(
    per_sentence: Sequence[Sequence[str]], picture: Picture, seed: int
) -> list[Sequence[str]]:
    """Return as many random objects instead, in the same places."""
    rng = random.Random(f"random objects/{seed}/{picture['id']}")
    named = list(dict.fromkeys(one for some in per_sentence for one in some))
    drawn = rng.sample(picture["everything"], len(named))
    turned = dict(zip(named, drawn, strict=True))
    return [[turned[one] for one in some] for some in per_sentence]


def _answer(arm: Arm, row: Mapping[str, Any], choice: Choice) -> str:
    said = " ".join(row["text"].split())
    if not arm.second:
        return said
    found = trust(evidence_of(row), choice.contrast)
    return said if found.whole else " ".join(f"{sentence}." for sentence in found.sentences)
