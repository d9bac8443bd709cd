"""The two grammars that Visionary-R1 compares: a thought and an answer, or a caption before both.

>>> [one.prompt for one in worded([Sample(id="a", task="t", split="test", prompt="How many?",
...     metric="typed", final="3")], "caption_first")]
['How many? Describe, think, then answer.']

Everything else is equal: the answer rule, the sampling, the limit of tokens.
"""

from collections.abc import Sequence

from tasks.asking.answers import Grammar
from tasks.prompts import prompt
from tasks.records.rows import Sample
from tasks.rewards.caption_first import caption_adds, caption_suffices, describes_then_answers
from tasks.rewards.reward import Reward
from tasks.rewards.text import thinks_then_answers
from tasks.rewards.typed import right_by_type


def worded(samples: Sequence[Sample], grammar: Grammar, instructions: bool = False) -> list[Sample]:
    """Return questions in the words that ask for a grammar; `details.bare` keeps what they were.

    Args:
        instructions: Spell the form out, for models that do not know the short phrases.
    """
    return [
        sample.model_copy(update={
            "prompt": _words(sample.prompt, grammar, instructions),
            "details": sample.details | {"bare": sample.prompt},
        })
        for sample in samples
    ]  # fmt: skip


def grammar_rewards(grammar: Grammar, alpha: float = 0.0, gain: bool = False) -> tuple[Reward, ...]:
    """Return what answers in a grammar are paid for.

    Args:
        alpha: Weight of a caption from which the witness answers right; with 0 it is measured and
            pays nothing.
        gain: Pay only for what a caption adds to what the witness says without one.
    """
    if grammar == "plain":
        return Reward(function=thinks_then_answers), Reward(function=right_by_type)
    caption = caption_adds if gain else caption_suffices
    return (
        Reward(function=describes_then_answers), Reward(function=right_by_type),
        Reward(function=caption, weight=alpha),
    )  # fmt: skip


def _words(bare: str, grammar: Grammar, instructions: bool) -> str:
    if not instructions:
        if grammar == "plain":
            return prompt("reason/plain", question=bare)
        return prompt("reason/caption_first", question=bare)
    if grammar == "plain":
        return f"{bare} {prompt('reason/plain_instructions')}"
    return f"{bare} {prompt('reason/caption_first_instructions')}"
