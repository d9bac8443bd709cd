"""Captions that the model agrees with itself on: sentences that most of its samples contain."""

from collections import Counter
from collections.abc import Sequence

from models.statistics import known, mean
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.records.rows import Sample
from tasks.rewards.captions import sentences

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

    A sentence that an answer says twice counts once, and is kept once.

    Returns:
        (sample, caption) pairs; and `captions` (the share of pictures that got one),
        `captions_unanswered` (the number of those that could not be shown) and, of the pictures
        whose reference caption is known, `caption_precision_before` and `caption_precision_after`;
        `captions_without_reference` is the number of the others, where there are any. Shares of
        nothing are left out.
    """
    answers = asker.ask(
        [question(s.prompt, s.images) for s in samples],
        max_new_tokens=max_new_tokens, samples=attempts, temperature=temperature,
        seed=seed, title="captioning",
    )  # fmt: skip
    kept, before, after = [], [], []
    for sample, group in zip(samples, answers, strict=True):
        said = agreed([answer.text for answer in group])
        if said:
            kept.append((sample, ". ".join(said) + "."))
        if true := set(sentences(sample.answer)):
            before += [s in true for answer in group for s in sentences(answer.text)]
            after += [s in true for s in said]
    report = {"captions_unanswered": float(sum(bool(group[0].unanswered) for group in answers))}
    if without := sum(not sentences(s.answer) for s in samples):
        report["captions_without_reference"] = float(without)
    return kept, report | known(
        {
            "captions": len(kept) / len(samples) if samples else None,
            "caption_precision_before": mean(before),
            "caption_precision_after": mean(after),
        }
    )


def agreed(captions: Sequence[str]) -> list[str]:
    """Return the sentences that more than half of the captions contain, as they first come.

    >>> agreed(["A ring. A ring. A star.", "A ring.", "A star. A dot."])
    ['A ring', 'A star']
    """
    votes = Counter(s for caption in captions for s in set(sentences(caption)))
    order = dict.fromkeys(s for caption in captions for s in sentences(caption))
    return [s for s in order if votes[s] > AGREEMENT * len(captions)]
