"""Rewards for the form and the content of text answers."""

from collections.abc import Sequence

from tasks.asking.answers import keeps_contract, tagged_answer

_PUNCTUATION = " \t\n.,;:!?'\""


def content_of(completion: str | list[dict]) -> str:
    """Return the text of a completion in TRL's plain or conversational form."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def thinks_then_answers(
    completions: Sequence, tagged: Sequence[bool] | None = None, **_: object
) -> list[float | None]:
    """Reward the layout `<think>…</think><answer>…</answer>`, each tag once (0 or 1).

    Args:
        tagged: Which questions ask for the layout; the others get None.
    """
    wanted = tagged or [True] * len(completions)
    return [
        float(keeps_contract(content_of(completion))) if asked else None
        for completion, asked in zip(completions, wanted, strict=True)
    ]


def exact_answer(completions: Sequence, answer: Sequence, **_: object) -> list[float | None]:
    """Reward a plain answer that equals the reference (0 or 1); None without a reference."""
    return [
        None if reference is None else float(content_of(completion).strip() == reference.strip())
        for completion, reference in zip(completions, answer, strict=True)
    ]


def exact_final(completions: Sequence, final: Sequence, **_: object) -> list[float | None]:
    """Reward the right value inside the answer tags (0 or 1); None without a reference."""
    rewards: list[float | None] = []
    for completion, reference in zip(completions, final, strict=True):
        answer = tagged_answer(content_of(completion))
        if not reference:
            rewards.append(None)
        else:
            rewards.append(float(answer is not None and same_answer(answer, reference)))
    return rewards


def same_answer(answer: str, reference: str) -> bool:
    """Compare short answers strictly: case, spaces, underscores and outer punctuation do not count.

    Visual-RFT specification 4.7, strict: equality, and never containment, which paid the empty
    answer.

    >>> same_answer("Boeing 747.", "boeing_747"), same_answer("", "")
    (True, False)
    """
    cleaned = [
        text.strip(_PUNCTUATION).replace(" ", "").replace("_", "").lower()
        for text in (answer, reference)
    ]
    return cleaned[0] == cleaned[1] != ""
