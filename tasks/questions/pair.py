"""Which of two answers is better: "Answer 1 is better" names the winner, "A"."""

import re

from tasks.judging.verdicts import pair_winner
from tasks.questions.kind import Frame, Kind, Score, exactly
from tasks.records.rows import Sample


class Pair(Kind):
    """The winner of `details.responses` is `answer`, A or B."""

    name = "pair"
    judged = True

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        return judgement(sample, 2, r"[AB]", "neither A nor B")

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score 1 or 0; an unreadable verdict is never right."""
        winner = pair_winner(text)
        right = winner == sample.answer
        return exactly(right, sample.answer) if winner else Score(0.0, "unreadable")


def judgement(sample: Sample, number: int, answers: str, other: str) -> str:
    """Return what is wrong with a question about answers of others.

    Args:
        number: How many responses it is about.
        answers: Pattern of the answers that it may have.
        other: What any other answer is.
    """
    question, responses = sample.details.get("question"), sample.details.get("responses")
    texts = [question, *responses] if isinstance(responses, list) else []
    if not sample.answer.strip():
        return "empty answer"
    if len(texts) != 1 + number or not all(isinstance(text, str) for text in texts):
        return f"metric {sample.metric} needs details.question and {number} details.responses"
    return "" if re.fullmatch(answers, sample.answer) else f"{sample.metric} answer is {other}"
