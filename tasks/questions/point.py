"""How good one candidate is: "Final Score: 7" of its own scale, 1 to 10 where it tells none."""

import re

from tasks.judging.verdicts import point_score
from tasks.questions.kind import Frame, Kind, Score, exactly
from tasks.questions.pair import scale_in, wrong_judgement
from tasks.records.judgements import SCALE
from tasks.records.rows import Sample

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)


class Point(Kind):
    """The score of one candidate is `answer`; `details.scale` has the lowest and the highest."""

    name = "point"
    judged = True

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        if wrong := wrong_judgement(sample, 1):
            return wrong
        low, high = scale_in(sample.details) or SCALE
        known = NUMBER.fullmatch(sample.answer) and low <= float(sample.answer) <= high
        return "" if known else f"point answer is no number from {low:g} to {high:g}"

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score 1 or 0; an unreadable verdict is never right."""
        value = point_score(text, *(scale_in(sample.details) or SCALE))
        if value is None:
            return Score(0.0, "unreadable")
        return exactly(value == float(sample.answer), sample.answer)
