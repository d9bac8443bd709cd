"""Captions that the model agrees with itself on: sentences that most of its samples contain."""

from collections import Counter

from tasks.asking import Asker
from tasks.benchmarks.captions import sentences
from tasks.records import Sample

AGREEMENT = 0.5  # a sentence stays when more than this share of the samples contains it


def synthesize_captions(
    asker: Asker,
    samples: list[Sample],
    *,
    attempts: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> tuple[list[tuple[Sample, str]], dict[str, float]]:
    """Sample captions and keep the sentences that most samples of a picture share.

    Returns:
        (sample, caption) pairs; and `captions` (the share of pictures that got one),
        `captions_unanswered` (the number of those that could not be shown) and, where reference
        captions are known, `sentence_precision` before and after.
    """
    if not samples:
        return [], {"captions": 0.0, "captions_unanswered": 0.0}
    answers = asker.ask(
        [(s.prompt, s.images) for s in samples], max_new_tokens=max_new_tokens, samples=attempts,
        temperature=temperature, seed=seed, title="captioning",
    )  # fmt: skip
    kept, before, after = [], [], []
    for sample, group in zip(samples, answers, strict=True):
        votes: Counter[str] = Counter()
        order: list[str] = []
        for answer in group:
            found = sentences(answer.text)
            votes.update(set(found))
            order += [s for s in found if s not in order]
        agreed = [s for s in order if votes[s] > AGREEMENT * attempts]
        if agreed:
            kept.append((sample, ". ".join(agreed) + "."))
        true = set(sentences(sample.answer))
        before += [s in true for answer in group for s in sentences(answer.text)]
        after += [s in true for s in agreed]
    unanswered = float(sum(bool(group[0].unanswered) for group in answers))
    report = {"captions": len(kept) / len(samples), "captions_unanswered": unanswered}
    if any(s.answer for s in samples):
        report["caption_precision_before"] = sum(before) / max(1, len(before))
        report["caption_precision_after"] = sum(after) / max(1, len(after))
    return kept, report
