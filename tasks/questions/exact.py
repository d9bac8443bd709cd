"""A short answer, and nothing else: "How many rings are there?" is answered "3"."""

from tasks.questions.kind import TEXT, Features, Frame, Kind, Score, exactly
from tasks.records.rows import Sample
from tasks.rewards.reward import Reward
from tasks.rewards.text import exact_answer


class Exact(Kind):
    """The whole answer equals `answer`."""

    name = "exact"
    words = True
    rewards = (Reward(function=exact_answer),)
    watched = staticmethod(exact_answer)
    features = Features({"answer": TEXT})

    def check(self, sample: Sample) -> str:
        """Return why a sample cannot be used."""
        return "" if sample.answer.strip() else "empty answer"

    def truth(self, sample: Sample) -> str:
        """Return the answer."""
        return sample.answer

    def score(self, sample: Sample, text: str, frame: Frame) -> Score:
        """Score 1 or 0."""
        return exactly(text == sample.answer.strip(), sample.answer)

    def columns(self, sample: Sample, corners: list[list[float]]) -> dict[str, str]:
        """Return the reference."""
        return {"answer": sample.answer}
