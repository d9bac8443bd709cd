"""How good one answer is: "Final Score: 7" of 1 to 10."""

from tasks.judging.verdicts import point_score
from tasks.questions.kind import Frame, Kind, Score, exactly
from tasks.questions.pair import judgement
from tasks.records.rows import Sample

NUMBER = r"10(\.0+)?|[1-9](\.\d+)?"


class Point(Kind):
    """The score of `details.responses[0]` is `answer`."""

    name = "point"
    judged = True

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        return judgement(sample, 1, NUMBER, "no number from 1 to 10")

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score 1 or 0; an unreadable verdict is never right."""
        value = point_score(text, 1, 10)
        if value is None:
            return Score(0.0, "unreadable")
        return exactly(value == float(sample.answer), sample.answer)
