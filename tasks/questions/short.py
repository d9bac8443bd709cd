"""What the kinds have in common that compare a short answer by its value."""

from typing import Any

from datasets import List

from tasks.asking.answers import short_answer
from tasks.questions.kind import TEXT, Features, Frame, Kind, Score
from tasks.records.rows import Sample
from tasks.rewards.values import same_value


class Short(Kind):
    """The answer that a text marks at its end, or all of it, against one or several references.

    Whatever a kind pays for, the share of answers of the same value stands beside it (`exact`).
    """

    parts = ("exact",)
    words = True
    features = Features({"references": List(TEXT)})

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        return "" if any(text.strip() for text in references(sample)) else "empty answer"

    def truth(self, sample: Sample) -> tuple[str, ...]:
        """Return what counts as right."""
        return tuple(references(sample))

    def read(self, text: str, frame: Frame) -> str:
        """Return the short answer."""
        return short_answer(text)

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score by what `worth` says."""
        said, wanted = short_answer(text), references(sample)
        value, exact = self.worth(said, wanted), any(same_value(said, one) for one in wanted)
        reason = "right" if value == 1 else f"{said[:80]!r} against {wanted[0]!r}"
        return Score(value, reason, parts=(("exact", float(exact)),))

    def worth(self, said: str, wanted: list[str]) -> float:
        """Return what a short answer is worth, in [0, 1]."""
        raise NotImplementedError

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, Any]:
        """Return the references."""
        return {"references": references(sample)}


def references(sample: Sample) -> list[str]:
    """Return what counts as right: `answers` of the details, or the one answer."""
    return [str(text) for text in sample.details.get("answers") or [sample.answer]]
