"""Which of two candidates is better: "Answer 1 is better" names the winner, "A".

`details.task` names one of four tasks (`tasks/records/judgements.py`); without it two answers about
pictures are compared, and no verdict is a tie.
"""

import hashlib
import math
from typing import Any

from tasks.judging.verdicts import pair_winner
from tasks.questions.kind import Frame, Kind, Score, exactly
from tasks.records.judgements import SCALE, TASKS, TIE, A, B, Judgement, judgement_of
from tasks.records.rows import Sample


class Pair(Kind):
    """The winner of two candidates is `answer`: A, B, or tie where both are equally good."""

    name = "pair"
    judged = True

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        if wrong := wrong_judgement(sample, 2):
            return wrong
        if sample.answer not in (A, B, TIE):
            return "pair answer is neither A nor B"
        first, second = candidates(judgement_of(sample))
        return "candidates that are the same" if first == second else ""

    def truth(self, sample: Sample) -> object:
        """Return the winner itself, whatever its place is."""
        first, second = candidates(judgement_of(sample))
        return {A: first, B: second}.get(sample.answer, TIE)

    def same_question(self, sample: Sample) -> tuple[object, ...]:
        """Return the task, the question, what it is about, and the candidates in no order."""
        judgement = judgement_of(sample)
        about = "" if judgement.generated else summed(judgement.media)
        return judgement.task, judgement.prompt, about, sorted(candidates(judgement))

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score 1 or 0; an unreadable verdict is never right."""
        winner = pair_winner(text, sample.details.get("task", ""))
        right = winner == sample.answer
        return exactly(right, sample.answer) if winner else Score(0.0, "unreadable")


def candidates(judgement: Judgement) -> list[str]:
    """Return what tells the candidates apart: their words, or sums of their pictures."""
    if judgement.generated:
        return [summed(side) for side in judgement.sides]
    return [response.strip() for response in judgement.responses]


def summed(pictures: tuple[bytes, ...]) -> str:
    """Return a name for some pictures in their order."""
    sums = b"".join(hashlib.sha256(picture).digest() for picture in pictures)
    return hashlib.sha256(sums).hexdigest()


def wrong_judgement(sample: Sample, number: int) -> str:
    """Return what is wrong with a question about candidates, apart from its verdict.

    Args:
        number: How many candidates it is about.
    """
    details = sample.details
    if not sample.answer.strip():
        return "empty answer"
    task = details.get("task", TASKS[0])
    if task not in TASKS:
        return f"unknown task of a judgement (known: {', '.join(TASKS)})"
    generated = task.endswith("generation")
    question, responses = details.get("question"), details.get("responses")
    texts = [question, *responses] if isinstance(responses, list) else []
    answers = 0 if generated else number
    if len(texts) != 1 + answers or not all(isinstance(text, str) for text in texts):
        return f"metric {sample.metric} needs details.question and {answers} details.responses"
    if generated and not sample.images:
        return "no picture"
    if generated and len(sample.images) % number:
        return "candidates with unequal numbers of pictures"
    if not isinstance(details.get("reasons", ""), str):
        return "reasons that are no text"
    return "" if scale_in(details) else "scale that is not its lowest and its highest score"


def scale_in(details: dict[str, Any]) -> tuple[float, float] | None:
    """Return the lowest and the highest score; nothing where they are no scale.

    >>> scale_in({}), scale_in({"scale": [0, 100]}), scale_in({"scale": [5, 1]})
    ((1.0, 10.0), (0, 100), None)
    """
    scale = details.get("scale") or SCALE
    numbers = isinstance(scale, list | tuple) and [type(n) in (int, float) for n in scale]
    if numbers != [True, True] or not -math.inf < scale[0] < scale[1] < math.inf:
        return None
    return scale[0], scale[1]
