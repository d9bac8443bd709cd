"""Rates the sentences of a caption by how much likelier the picture makes them.

Specification of ScaleCap (arXiv 2506.19848), section 3, step 2. A sentence is trusted if its score
is *above* the threshold. Whole sentences are kept or dropped by default, as published; clauses, as
released, on request (section 8, item 8).
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from tasks.synthesis.captioning.cutting import Span, clauses, places, sentences, without_stop

Reduction = Literal["max", "mean_topk", "mean", "min", "noun"]
TOP = 3  # gaps that `mean_topk` is the mean of
IMPORTANT = ("ADJ", "ADV", "INTJ", "NOUN", "NUM", "PROPN", "VERB")
NOUNS = ("NOUN", "PROPN")


@dataclass(frozen=True)
class Rated:
    """A sentence of a caption.

    Attributes:
        text: Without the stop at its end; of clauses, those that are trusted.
        span: Where it stands in the caption.
        score: That of its best clause where clauses are rated; None where no token counts.
    """

    text: str
    span: Span
    score: float | None
    kept: bool


def rate(
    tokens: Sequence[str],
    gaps: Sequence[float],
    threshold: float,
    *,
    reduction: Reduction = "max",
    tags: Sequence[str] | None = None,
    by_clause: bool = False,
) -> list[Rated]:
    """Return the sentences of a caption with their scores, in order.

    >>> [(r.text, r.kept) for r in rate(["A", " bar", ".", " It", " sings"], [1, 2, 0, -1, -2], 0)]
    [('A bar', True), ('It sings', False)]

    Args:
        tokens: The caption's, each as it stands in the text.
        gaps: Of the tokens; one that is no number makes its sentence's score None.
        tags: The universal tag of each token; without them all words count.
        by_clause: A clause is kept alone, a sentence as its kept clauses.

    Raises:
        ValueError: There are not as many gaps, or tags, as tokens.
    """
    if len(gaps) != len(tokens) or (tags is not None and len(tags) != len(tokens)):
        raise ValueError(f"{len(tokens)} tokens, {len(gaps)} gaps")
    text, spans = "".join(tokens), places(tokens)
    found = []
    for sentence in sentences(text):
        parts = clauses(text, sentence, spans) if by_clause else [sentence]
        scores = [_score(text, part, spans, gaps, tags, reduction) for part in parts]
        kept = [score is not None and score > threshold for score in scores]
        known = [score for score in scores if score is not None]
        said = [part.of(text) for part, keep in zip(parts, kept, strict=True) if keep]
        whole = ",".join(said) if any(kept) else sentence.of(text)
        found.append(
            Rated(without_stop(whole), sentence, max(known) if known else None, any(kept))
        )  # fmt: skip
    return found


def trusted(rated: Sequence[Rated]) -> tuple[list[str], bool]:
    """Return the trusted sentences, and whether nothing survived: then the whole draft is one."""
    kept = [one.text for one in rated if one.kept]
    if kept or not rated:
        return kept, False
    return [". ".join(one.text for one in rated)], True


def pass_rates(rated: Sequence[Rated]) -> dict[int, float]:
    """Return the share of sentences that pass, by their length in words.

    A maximum over many tokens is biased upward (section 8, item 3): long sentences pass.
    """
    groups: dict[int, list[float]] = defaultdict(list)
    for one in rated:
        groups[len(one.text.split())].append(float(one.kept))
    return {length: fmean(kept) for length, kept in sorted(groups.items())}


def tags_of_tokens(tokens: Sequence[str], words: Sequence[tuple[str, str]]) -> list[str] | None:
    """Return the tag of each token; None where the words are not those of the tokens.

    Both are consumed with their spaces removed (section 4, `tokens_to_pos`). Between two places
    where a word and a token begin together, all tokens take the first word's tag; a token without a
    sign of its own takes that of the next.

    >>> tags_of_tokens(["play", "ing", " ball"], [("playing", "VERB"), ("ball", "NOUN")])
    ['VERB', 'VERB', 'NOUN']
    """
    bare = ["\n" if token == "<0x0A>" else token.replace(" ", "") for token in tokens]
    if "".join(bare) != "".join(word for word, _ in words).replace(" ", ""):
        return None
    if not words:
        return None if tokens else []
    begins: dict[int, str] = {}  # tags by the place where their words begin
    place = 0
    for word, tag in words:
        begins.setdefault(place, tag)
        place += len(word.replace(" ", ""))
    found: list[str] = []
    place = 0
    for token in bare:
        found.append(begins[place] if place in begins else found[-1])
        place += len(token)
    return found


def _score(
    text: str,
    part: Span,
    spans: Sequence[Span],
    gaps: Sequence[float],
    tags: Sequence[str] | None,
    reduction: Reduction,
) -> float | None:
    inside = [
        i for i, span in enumerate(spans)
        if part.start <= _first_sign(text, span) < part.end
        and any(sign.isalnum() for sign in span.of(text))
    ]  # fmt: skip
    wanted = NOUNS if reduction == "noun" else IMPORTANT
    counted = [i for i in inside if tags is None or tags[i] in wanted] or inside
    values = [gaps[i] for i in counted]
    if not values or any(math.isnan(value) for value in values):
        return None
    if reduction == "mean_topk":
        return fmean(heapq.nlargest(TOP, values))
    if reduction == "mean":
        return fmean(values)
    return min(values) if reduction == "min" else max(values)  # of nouns, their best


def _first_sign(text: str, span: Span) -> int:
    """Return where a token's first sign that is no space stands."""
    return span.start + len(span.of(text)) - len(span.of(text).lstrip())
